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
"$cargo" deb --locked --no-build
