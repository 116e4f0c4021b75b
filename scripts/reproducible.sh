#!/usr/bin/env bash
# Builds the committed state twice, in two folders, with what would say where and when taken out; fails unless both
# programs are the same, byte for byte.
#   scripts/reproducible.sh [FOLDER]...    instead of two new ones; they are made, and left there
# Prints the SHA-256 of each. The Dockerfile builds by the same flags.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
home=${CARGO_HOME:-$HOME/.cargo}
folders=("$@")
if [ ${#folders[@]} -eq 0 ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    folders=("$scratch/a" "$scratch/another-and-longer")
fi
sums=()
for folder in "${folders[@]}"; do
    mkdir -p "$folder"
    git archive HEAD | tar -x -C "$folder"
    (
        cd "$folder"
        SOURCE_DATE_EPOCH=0 CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="$folder/target" \
            RUSTFLAGS="--remap-path-prefix=$folder=tidegate --remap-path-prefix=$home=cargo" \
            CFLAGS="-ffile-prefix-map=$folder=tidegate -ffile-prefix-map=$home=cargo" \
            "$cargo" build --release --locked --bin tidegate
    )
    sums+=("$(sha256sum "$folder/target/release/tidegate" | cut -d' ' -f1)")
    echo "${sums[-1]}  $folder"
done
[ "$(printf '%s\n' "${sums[@]}" | sort -u | wc -l)" = 1 ] || { echo 'reproducible: the programs differ' >&2; exit 1; }
echo "reproducible: ${#sums[@]} builds, one program"
