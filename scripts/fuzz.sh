#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other; what it finds is left in fuzz/artifacts.
#   scripts/fuzz.sh [seconds for each, 60 if not given] [target]...
# No sanitizer: there is no unsafe code to catch, so stable Rust does.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.13.2
if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install cargo-fuzz --version "$version" --locked
fi
seconds=${1:-60}
shift || true
[ $# -gt 0 ] || set -- lexer_against_scan shape

for target in "$@"; do
    mkdir -p "fuzz/corpus/$target"
    nice cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" fuzz/seeds -- \
        -max_total_time="$seconds" -dict=fuzz/sql.dict -max_len=1024 -timeout=10 -print_final_stats=1
done
