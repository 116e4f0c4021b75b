"""What pgbench is made to do, the tables and scripts it needs, and one run of it."""

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter

from cluster import DATABASE, ENVIRONMENT, USER

SETTLE = 0.4  # seconds of load before the window begins: a pool opens its connections, plans are made
FOREVER = 3600  # seconds: a run is ended from here
PIPELINED = 10
LARGE_ROWS = 8

WORKLOADS = {
    "select-simple": ["-S", "-M", "simple"],
    "select-extended": ["-S", "-M", "extended"],
    "select-prepared": ["-S", "-M", "prepared"],
    "select-pipelined": ["-M", "extended", "-f", "pipelined.sql"],
    "tpcb-prepared": ["-M", "prepared"],
    "mix": ["-M", "extended", "-f", "update.sql@1", "-f", "select.sql@9"],
    "large-rows": ["-M", "extended", "-f", "large.sql"],
}


def is_prepared(workload):
    return "prepared" in WORKLOADS[workload]


def scripts(scale):
    """pgbench's scripts by file name."""
    select = "SELECT abalance FROM pgbench_accounts WHERE aid = :aid{};\n"
    any_account = f"\\set aid{{}} random(1, {100_000 * scale})\n"
    each = range(PIPELINED)
    return {
        "select.sql": any_account.format("") + select.format(""),
        "update.sql": any_account.format("") + "\\set delta random(-5000, 5000)\n"
        "UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n",
        "pipelined.sql": "".join(any_account.format(i) for i in each) + "\\startpipeline\n"
        + "".join(select.format(i) for i in each) + "\\endpipeline\n",
        "large.sql": f"\\set id random(1, {LARGE_ROWS})\nSELECT body FROM large_rows WHERE id = :id;\n",
    }


def prepare(cluster, scale):
    port = str(cluster.ports[0])
    command = ["pgbench", "-h", "127.0.0.1", "-p", port, "-U", USER, "-i", "-q", "-s", str(scale), DATABASE]
    subprocess.run([str(cluster.bin / command[0]), *command[1:]], env=ENVIRONMENT, check=True, capture_output=True)
    cluster.query(
        "CREATE TABLE large_rows (id int PRIMARY KEY, body text); "
        "ALTER TABLE large_rows ALTER body SET STORAGE EXTERNAL; "  # not compressed: every read is of 1 MiB
        f"INSERT INTO large_rows SELECT i, repeat('x', 1 << 20) FROM generate_series(1, {LARGE_ROWS}) i; ANALYZE"
    )
    for name, text in scripts(scale).items():
        (cluster.folder / name).write_text(text)
    cluster.wait_for_replicas()
    for port in cluster.ports:
        cluster.query("SELECT count(*) FROM pgbench_accounts; SELECT sum(length(body)) FROM large_rows", port)


@dataclasses.dataclass
class Load:
    """How much of what pgbench does."""

    workload: str
    clients: int
    threads: int
    seconds: float

    def command(self, cluster, port, seconds):
        workload = [str(cluster.folder / word) if ".sql" in word else word for word in WORKLOADS[self.workload]]
        return [
            str(cluster.bin / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(port), "-U", USER,
            "-c", str(self.clients), "-j", str(min(self.threads, self.clients)), "-T", str(seconds), *workload, DATABASE,
        ]

    def patience(self):
        """Seconds until a run is given up: some proxies hang with some workloads."""
        return self.seconds + 20 + self.clients / 50


@dataclasses.dataclass
class Window:
    """What happened between two looks at a proxy, while the load was steady: no login, no farewell."""

    seconds: float
    latencies: list[float]  # in ms, sorted
    by_client: Counter  # transactions
    before: object
    after: object


@contextlib.contextmanager
def pgbench(load, command, folder):
    child = subprocess.Popen(
        command, env=ENVIRONMENT, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # its own session, with what counts its system calls
            child.wait()


def finish(child, load):
    """pgbench's output, when it is done; an error when it has failed or takes too long."""
    try:
        out, errors = child.communicate(timeout=load.patience())
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"pgbench {load.workload} hangs") from None
    if child.returncode != 0 or "aborted" in errors:
        raise RuntimeError(f"pgbench {load.workload}: {errors[-500:].strip()}")
    return out


def wait_for_first(child, folder, deadline):
    """Until pgbench has written to its log, which it does after a hundred transactions or so."""
    while child.poll() is None and not any(log.stat().st_size for log in folder.iterdir()):
        if time.monotonic() > deadline:
            raise RuntimeError("pgbench gets no answers")
        time.sleep(0.02)


def run(cluster, port, load, look=lambda: None):
    """One run; `look()` is called when the window begins and ends."""
    with tempfile.TemporaryDirectory(dir=cluster.folder) as folder:
        folder = pathlib.Path(folder)
        # pgbench counts the time of its logins as well, and many clients need long for them
        command = load.command(cluster, port, FOREVER) + ["--log"]
        with pgbench(load, command, folder) as child:
            wait_for_first(child, folder, time.monotonic() + load.patience())
            time.sleep(SETTLE)
            begin, before = time.time(), look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(load.seconds)
            end, after = time.time(), look()
            if child.poll() is None:
                child.send_signal(signal.SIGALRM)  # as pgbench's own timer does
            finish(child, load)
        latencies, by_client = transactions(folder, begin, end)
    if not latencies:
        raise RuntimeError(f"pgbench {load.workload}: no transaction within {load.seconds} s")
    return Window(end - begin, latencies, by_client, before, after)


def transactions(folder, begin, end):
    """Latencies, sorted, and counts by client of the transactions that pgbench's logs show between two times."""
    latencies, by_client = [], Counter()
    for log in folder.iterdir():
        with log.open() as lines:
            for line in lines:
                client, _, latency, _, second, microsecond = line.split()[:6]
                if begin <= int(second) + int(microsecond) / 1e6 <= end:
                    latencies.append(int(latency) / 1000)
                    by_client[client] += 1
    latencies.sort()
    return latencies, by_client


def run_counted(cluster, port, load, before=()):
    """One run with `before` in front of its command; how many transactions it was."""
    command = [*before, *load.command(cluster, port, int(load.seconds))]
    with pgbench(load, command, cluster.folder) as child:
        out = finish(child, load)
    return int(re.search(r"actually processed: (\d+)", out).group(1))
