#!/bin/sh
# Installs Tidegate below a prefix: bin/tidegate and share/tidegate/. Asks for no rights, changes nothing else.
set -eu

usage() {
    cat <<'TEXT'
Usage: scripts/install.sh [--prefix DIR] [--dry-run]
       scripts/install.sh --from ARCHIVE [--sha256 SUM] [--prefix DIR] [--dry-run]

Builds Tidegate from this source tree with cargo, or takes it from a release's archive whose SHA-256 is checked,
and installs it.

  --prefix DIR     where to: DIR/bin/tidegate, DIR/share/tidegate/ [default: ~/.local]
  --from ARCHIVE   a file tidegate-VERSION-MACHINE-linux.tar.gz on this machine
  --sha256 SUM     its checksum [default: what ARCHIVE.sha256 says]
  --dry-run        say what would be done, and do nothing
TEXT
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

prefix=
archive=
sum=
dry=
while [ $# -gt 0 ]; do
    case $1 in
    --prefix | --from | --sha256)
        [ $# -ge 2 ] || fail "$1 needs a value; --help lists them"
        case $1 in
        --prefix) prefix=$2 ;;
        --from) archive=$2 ;;
        *) sum=$2 ;;
        esac
        shift
        ;;
    --dry-run) dry=yes ;;
    --help | -h)
        usage
        exit
        ;;
    *)
        usage >&2
        fail "unknown argument: $1"
        ;;
    esac
    shift
done
[ -n "$prefix" ] || prefix=${HOME:?is not set: name a place with --prefix}/.local
[ -z "$sum" ] || [ -n "$archive" ] || fail "--sha256 is the checksum of an archive: name it with --from"

# Says what is done, and does it unless that was all that was wanted.
act() {
    echo "$*"
    [ -n "$dry" ] || "$@"
}

verify() {
    [ -f "$archive" ] || fail "no such file: $archive"
    if [ -z "$sum" ]; then
        [ -f "$archive.sha256" ] || fail "say the archive's checksum with --sha256, or put $archive.sha256 beside it"
        sum=$(cut -d ' ' -f 1 <"$archive.sha256")
    fi
    found=$(sha256sum <"$archive" | cut -d ' ' -f 1)
    [ "$found" = "$(echo "$sum" | tr 'A-F' 'a-f')" ] ||
        fail "the checksum of $archive is $found and not $sum: the file is damaged, or not the one that was released"
    echo "checksum: $found, as it should be"
}

# Replaced by a rename: a program that runs goes on with the file it has.
put() {
    act install -m "$1" "$2" "$3.new"
    act mv -f "$3.new" "$3"
}

root=$(cd "$(dirname "$0")/.." && pwd)
if [ -n "$archive" ]; then
    verify
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    echo "tar: takes tidegate, tidegate.toml and tidegate.service out of $archive"
    # Only these, whatever else is in it, and never outside of the folder.
    tar -xzf "$archive" -C "$source" --no-same-owner tidegate tidegate.toml tidegate.service ||
        fail "$archive has not what an archive of Tidegate has"
    program=$source/tidegate
    config=$source/tidegate.toml
    unit=$source/tidegate.service
else
    command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs, or use --from"
    act cargo build --release --locked --manifest-path "$root/Cargo.toml"
    program=${CARGO_TARGET_DIR:-$root/target}/release/tidegate
    config=$root/config/tidegate.toml
    unit=$root/examples/systemd/tidegate.service
fi

if [ -z "$dry" ]; then
    mkdir -p "$prefix/bin" "$prefix/share/tidegate" 2>/dev/null && [ -w "$prefix/bin" ] && [ -w "$prefix/share/tidegate" ] ||
        fail "$prefix cannot be written to: choose another --prefix, or run this as somebody who may"
fi
put 755 "$program" "$prefix/bin/tidegate"
put 644 "$config" "$prefix/share/tidegate/tidegate.toml"
put 644 "$unit" "$prefix/share/tidegate/tidegate.service"
[ -z "$dry" ] || exit 0

"$prefix/bin/tidegate" --version || fail "it does not run on this machine"
case :$PATH: in
*":$prefix/bin:"*) ;;
*) echo "$prefix/bin is not in your PATH: call it $prefix/bin/tidegate, or add the folder." ;;
esac
