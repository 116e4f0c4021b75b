#!/usr/bin/env bash
# Captures the statements of real apps anew, into tests/oracle/corpus/orm. The corpus is kept in the repository, so this is
# only for another app, or for other versions.
#   tests/oracle/capture/run.sh [APP]...     pgbench, django, sqlalchemy, prisma; all of them if none is named
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- pgbench django sqlalchemy prisma

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/python"
"$work/python/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
if [[ " $* " == *" prisma "* ]]; then
    cp -r "$here/prisma" "$here/prisma.mjs" "$work"
    mv "$work/prisma.mjs" "$work/prisma/"
    cd "$work/prisma"
    npm ci --silent --ignore-scripts --no-audit --no-fund
    # The client is made without Prisma's schema engine, a program that no registry has.
    PRISMA_SCHEMA_ENGINE_BINARY=$(type -P true) npx prisma generate --schema schema.prisma >/dev/null
fi
cd "$here"
bin=$(../../../scripts/build-postgres.sh | tail -n 1)/install/bin
CAPTURE_PRISMA=$work/prisma "$work/python/bin/python" capture.py "$bin" ../corpus/orm "$@"
