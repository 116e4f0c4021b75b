#!/usr/bin/env bash
# Checks what the program is made of by deny.toml: licences, versions, sources, and known vulnerabilities as far as the
# database of advisories can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
"$cargo" deny --locked check licenses bans sources

said=$(mktemp)
trap 'rm -f "$said"' EXIT
if "$cargo" deny fetch db >"$said" 2>&1; then
    "$cargo" deny --locked check advisories
elif compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/*/crates" >/dev/null; then
    echo 'deny: the database of advisories cannot be fetched: those that are known here count (90 days old at most)' >&2
    "$cargo" deny --locked --offline check advisories
else
    sed 's/^/    /' "$said" >&2
    echo 'deny: ADVISORIES WERE NOT CHECKED: their database cannot be fetched, and none is here' >&2
fi
