#!/usr/bin/env bash
# Builds target/pgo/release/tidegate, optimised by a profile of itself at work (make pgo): once to count what runs, a run
# of the benchmark's workloads on a throwaway cluster, and once more by the counts.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
host=$(rustc -vV | sed -n 's/^host: //p')
merge=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
if ! [ -x "$merge" ]; then
    command -v rustup >/dev/null ||
        { echo "pgo.sh: llvm-profdata of this compiler is missing, and there is no rustup to get it (component llvm-tools)" >&2; exit 1; }
    rustup component add llvm-tools
fi

folder=$PWD/target/pgo
counts=$folder/counts
rm -rf "$counts" && mkdir -p "$counts"
chmod 777 "$counts"
RUSTFLAGS="-Cprofile-generate=$counts" "$cargo" build --locked --release --target-dir "$folder"
cp "$folder/release/tidegate" "$folder/counting"
python3 bench/train.py "$folder/counting run --url {url} --listen {listen} --admin off"
"$merge" merge -o "$folder/profile" "$counts"/*.profraw
# Most of a crate's functions are not run in training, which is no news.
RUSTFLAGS="-Cprofile-use=$folder/profile" "$cargo" build --locked --release --target-dir "$folder"
rm -rf "$counts" "$folder/counting"
echo "built $folder/release/tidegate"
