#!/usr/bin/env python3
"""Plays every workload through a proxy that counts what it runs: what the compiler goes by in scripts/pgo.sh.

    train.py COMMAND    as of a contestant, with {url} and {listen}
"""

import pathlib
import signal
import subprocess
import sys
import tempfile

from cluster import ENVIRONMENT, Cluster
from contestants import Command
from workloads import WORKLOADS, Load, prepare

SECONDS = 3


def main(command):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tidegate-train-") as folder:
        pathlib.Path(folder).chmod(0o755)
        with Cluster(pathlib.Path(folder)) as cluster:
            prepare(cluster, scale=2)
            with Command("trained", command).running(cluster, False, 16) as running:
                for workload in WORKLOADS:
                    load = Load(workload, clients=16, threads=2, seconds=SECONDS).command(cluster, running.port, SECONDS)
                    subprocess.run(load, env=ENVIRONMENT, cwd=folder, check=True, capture_output=True)
                    print(f"trained: {workload}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
