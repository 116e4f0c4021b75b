#!/usr/bin/env bash
# The classifier against a real standby: see docs/oracle.md.
#   scripts/oracle.sh [CORPUS]...     regress, contrib, or a folder of tests/oracle/corpus; all of them if none is named
#   TESTS="boolean char"              of the regression suite only these, after test_setup
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- regress contrib traps orm
TIDEGATE_ORACLE_POSTGRES=$(scripts/build-postgres.sh | tail -n 1)
TIDEGATE_ORACLE_CORPUS=$*
TIDEGATE_ORACLE_TESTS=${TESTS:+test_setup $TESTS}
export TIDEGATE_ORACLE_POSTGRES TIDEGATE_ORACLE_CORPUS TIDEGATE_ORACLE_TESTS
exec "${CARGO:-cargo}" test --locked --quiet --test oracle -- --ignored --nocapture
