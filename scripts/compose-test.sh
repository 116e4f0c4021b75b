#!/usr/bin/env bash
# Starts docker-compose.yml from scratch, runs its `check` service, and removes everything again.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! docker info >/dev/null 2>&1; then
    echo 'skipped: no Docker engine'
    exit 0
fi
if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
elif command -v docker-compose >/dev/null; then
    compose=(docker-compose)
else
    echo 'skipped: no Docker Compose'
    exit 0
fi
# A project of its own and ports of the engine's choice, so that a running copy is not disturbed. The image stays: its
# layers are the cache of the next run.
compose+=(--project-name tidegate-test)
export TIDEGATE_PORT=0 TIDEGATE_ADMIN_PORT=0

clean() { "${compose[@]}" down --volumes --remove-orphans >/dev/null 2>&1 || true; }
trap clean EXIT
clean
"${compose[@]}" up --build --abort-on-container-exit --exit-code-from check
