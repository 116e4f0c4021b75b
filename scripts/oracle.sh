#!/usr/bin/env bash
# The classifier against a real standby, over PostgreSQL's regression suite: see docs/oracle.md.
#   scripts/oracle.sh [test]...
set -euo pipefail
cd "$(dirname "$0")/.."

TIDEGATE_ORACLE_POSTGRES=$(scripts/build-postgres.sh | tail -n 1)
TIDEGATE_ORACLE_TESTS=$*
export TIDEGATE_ORACLE_POSTGRES TIDEGATE_ORACLE_TESTS
exec "${CARGO:-cargo}" test --locked --quiet --test oracle -- --ignored --nocapture
