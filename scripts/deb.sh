#!/usr/bin/env bash
# Makes the Debian package, in target/debian/. Its manual pages and completions are what the program itself prints.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
"$cargo" build --release --locked
program=${CARGO_TARGET_DIR:-target}/release/tidegate
parts=target/package
rm -rf "$parts"
mkdir -p "$parts/man"
"$program" man --all "$parts/man"
"$program" completions bash >"$parts/tidegate.bash"
"$program" completions zsh >"$parts/_tidegate"
"$program" completions fish >"$parts/tidegate.fish"
# Debian's own form; what has changed is in CHANGELOG.md, which is in the package, too.
cat >"$parts/changelog" <<END
tidegate ($(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-1) stable; urgency=medium

  * What has changed: /usr/share/doc/tidegate/CHANGELOG.md.

 -- $(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)  $(git log -1 --format=%aD 2>/dev/null || date -R)
END
"$cargo" deb --locked --no-build
