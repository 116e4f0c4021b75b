#!/usr/bin/env bash
# Runs fuzz targets for a while; what they find is left in fuzz/artifacts.
#   scripts/fuzz.sh [seconds for each, 60 if not given] [target]...
# FUZZ_JOBS: how many run at the same time, 1 if not given. FUZZ_SEED: what libFuzzer's choices begin with, for runs that are alike.
# No sanitizer: there is no unsafe code of ours to catch, so stable Rust does, and everything is faster.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.13.2
if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install cargo-fuzz --version "$version" --locked
fi
seconds=${1:-60}
shift || true
[ $# -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
[ $# -eq 0 ] || targets=("$@")

# Its seeds, its dictionary, and the longest input that is tried, in bytes.
of() {
    case $1 in
    lexer_against_scan | shape) echo sql sql 1024 ;;
    classify) echo classify sql 1024 ;;
    frontend | backend) echo "$1" messages 2048 ;;
    startup | scram | config | rules) echo "$1" "$1" 1024 ;;
    prover) echo prover scram 512 ;;
    session) echo session session 512 ;;
    *) echo "fuzz.sh: no seeds and no dictionary are named for the target '$1'" >&2; exit 2 ;;
    esac
}

run() {
    local target=$1 seeds dictionary longest known
    known=$(of "$target")
    read -r seeds dictionary longest <<<"$known"
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    nice cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$seeds" -- \
        -seed="${FUZZ_SEED:-0}" -max_total_time="$seconds" -dict="fuzz/dictionaries/$dictionary.dict" -max_len="$longest" -timeout=10 \
        -print_final_stats=1
}
export -f run of
export seconds

# All at once, so that they share what is built.
cargo fuzz build --sanitizer none
printf '%s\n' "${targets[@]}" | xargs -P "${FUZZ_JOBS:-1}" -I{} bash -euo pipefail -c 'run {}'
