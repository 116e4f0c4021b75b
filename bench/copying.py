"""COPY out of and into a table through psql: MiB per second, and the proxy's CPU per MiB."""

import subprocess
import sys
import time

from cluster import DATABASE, ENVIRONMENT, psql
from measure import in_turns, medians, spent, started, usage
from report import figure, ratio, table

# rows of one KiB: short ones would measure how fast PostgreSQL formats them
OUT, IN = "COPY copied TO STDOUT", "COPY copied_back FROM STDIN"


def prepare(cluster, mib):
    """The tables, and the file that is copied in; how many MiB it has."""
    cluster.query(
        f"CREATE TABLE copied AS SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, {mib * 1000}) i; "
        "CREATE UNLOGGED TABLE copied_back (LIKE copied)"  # replication is not what is measured
    )
    cluster.wait_for_replicas()
    file = cluster.folder / "copied"
    with file.open("wb") as target:
        copy(cluster, cluster.ports[0], OUT, stdout=target)
    for port in cluster.ports:
        cluster.query("SELECT sum(i) FROM copied", port)
    return file, file.stat().st_size / 2**20


def copy(cluster, port, sql, **ends):
    """Seconds that it takes."""
    ends = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | ends
    begun = time.monotonic()
    done = subprocess.run(
        psql(cluster.bin, port, DATABASE, sql), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
        timeout=120, **ends,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{sql}: {done.stderr.strip()}")
    return time.monotonic() - begun


def both_ways(cluster, running, file, mib):
    """MiB per second and CPU in µs per MiB, out and in."""
    found = {}
    for way, sql in (("out", OUT), ("in", IN)):
        before = usage(running)()
        with file.open("rb") as source:
            found[way] = mib / copy(cluster, running.port, sql, stdin=source if way == "in" else subprocess.DEVNULL)
        if before:
            found[f"cpu_{way}"] = spent(before, usage(running)(), mib)["cpu"]
    cluster.query("TRUNCATE copied_back")
    return found


def measure(cluster, chosen, options):
    """Medians by contestant, and a text."""
    file, mib = prepare(cluster, options.copy_mib)
    results = {}
    with started(cluster, chosen, False, 1) as (running, out):
        for _, (name, one) in in_turns(running, options.rounds):
            if name in out:
                continue
            try:
                results.setdefault(name, []).append(both_ways(cluster, one, file, mib))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                out.excuse(name, str(error))
        print(f"  copy: {options.rounds} rounds", file=sys.stderr)
    found = {name: medians(those) for name, those in results.items() if name not in out}
    return found, show(found, mib, out)


def show(found, mib, out):
    direct = found.get("direct", {})
    head = [f"COPY of {mib:.0f} MiB", "out MiB/s", "to direct", "CPU µs/MiB", "in MiB/s", "to direct", "CPU µs/MiB"]
    rows = [
        [name] + [cell for way in ("out", "in") for cell in (
            figure(result, way, 0), ratio(result, direct, way), figure(result, f"cpu_{way}", 0)
        )]
        for name, result in found.items()
    ]
    return "\n".join([table(head, rows), *out.lines()])
