#!/usr/bin/env bash
# PostgreSQL's regression suite through Tidegate: see docs/conformance.md.
#   scripts/conformance.sh [WAY]...   direct, session, transaction; session and transaction if none is named
#   TESTS="boolean char"              only these, after test_setup
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- session transaction
TIDEGATE_CONFORMANCE_POSTGRES=$(scripts/build-postgres.sh | tail -n 1)
TIDEGATE_CONFORMANCE_WAYS=$*
TIDEGATE_CONFORMANCE_TESTS=${TESTS:+test_setup $TESTS}
export TIDEGATE_CONFORMANCE_POSTGRES TIDEGATE_CONFORMANCE_WAYS TIDEGATE_CONFORMANCE_TESTS
exec "${CARGO:-cargo}" test --locked --quiet --test conformance -- --ignored --nocapture --test-threads=1
