#!/usr/bin/env bash
# Makes a release's archive and its checksum in target/archive/: what scripts/install.sh --from takes.
set -euo pipefail
cd "$(dirname "$0")/.."

${CARGO:-cargo} build --release --locked
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=tidegate-$version-$(uname -m)-linux.tar.gz
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
install -m 755 "${CARGO_TARGET_DIR:-target}/release/tidegate" "$folder/tidegate"
install -m 644 config/tidegate.toml examples/systemd/tidegate.service LICENSE-APACHE LICENSE-MIT "$folder/"
mkdir -p target/archive
# The same bytes for the same program, whoever makes it and when.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$folder" -cf - . --transform='s,^\./,,' |
    gzip --no-name >"target/archive/$name"
(cd target/archive && sha256sum "$name" >"$name.sha256" && cat "$name.sha256")
