#!/usr/bin/env bash
# Installs the package that `make deb` has made on a Debian with systemd and PostgreSQL, in a container that is gone afterwards, and
# looks at it there as an administrator would: see scripts/deb-test-inside.sh. Skipped without Docker.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! docker info >/dev/null 2>&1; then
    echo 'skipped: no Docker engine'
    exit 0
fi
mapfile -t packages < <(ls -t target/debian/tidegate_*.deb 2>/dev/null)
if [ ${#packages[@]} -eq 0 ]; then
    echo 'there is no package in target/debian: make deb' >&2
    exit 1
fi

image=tidegate-deb-test
docker build --quiet --build-arg "DEBIAN_IMAGE=${DEBIAN_IMAGE:-debian:bookworm-slim}" --tag "$image" - >/dev/null <<'DOCKERFILE'
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
# Units that would change the kernel's settings, which are the host's, too, are masked.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends systemd systemd-sysv postgresql procps curl \
    && ln -sf /dev/null /etc/systemd/system/systemd-sysctl.service \
    && ln -sf /dev/null /etc/systemd/system/systemd-udevd.service
ENV container=docker
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
DOCKERFILE

# What systemd needs to be the first process of a container, and to give a service what the unit asks for: namespaces
# (SYS_ADMIN), and a view of processes that are hidden from others (SYS_PTRACE). The network is the container's own.
container=$(docker run --detach --rm --cap-add SYS_ADMIN --cap-add SYS_PTRACE \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --cgroupns host --volume /sys/fs/cgroup:/sys/fs/cgroup --tmpfs /run --tmpfs /run/lock --tmpfs /tmp \
    --volume "$PWD/target/debian:/packages:ro" "$image")
clean() { docker rm --force "$container" >/dev/null 2>&1 || true; }
trap clean EXIT
docker exec --interactive "$container" bash -s -- "$(basename "${packages[0]}")" <scripts/deb-test-inside.sh
