#!/usr/bin/env python3
"""What a hop costs: PostgreSQL directly, a TCP relay, PgBouncer, Pgpool-II and Tidegate under pgbench, on a throwaway
cluster.

Contestants take turns within each round, so that a slow minute of the machine hits all of them; figures are medians
over the rounds. Throughput on few cores says as much about pgbench and PostgreSQL as about the proxy: the steadiest
figure is the proxy's own CPU time per transaction.
"""

import os
import pathlib
import platform
import resource
import signal
import sys
import tempfile

import copying
import idle
import logins
import plot
import sweep
import workloads
from cluster import Cluster
from contestants import contestants
from measure import compare
from options import PARTS, arguments
from report import Report, comparison, row, rows
from syscalls import counter
from workloads import WORKLOADS, Load

USUAL_CLIENTS = 16


def chosen_from(options):
    """Contestants, workloads and parts that the command line wants, in the usual order."""
    found = contestants(options)
    names = {contestant.name for contestant in found}
    if unknown := options.only - set(WORKLOADS) - set(PARTS) - names:
        raise SystemExit(f"--only: unknown or not here: {', '.join(sorted(unknown))}")
    what = options.only - names or {*WORKLOADS, *PARTS}
    if len(options.clients) == 1:
        what -= {"sweep", "fairness"} - options.only
    return (
        [contestant for contestant in found if contestant.name in options.only] or found,
        [name for name in WORKLOADS if name in what],
        [name for name in PARTS if name in what],
    )


def heading(cluster, options, counting):
    clients = table_clients(options)
    calls = f"; system calls counted by {counting}" if counting else ""
    return (
        f"PostgreSQL {cluster.query('SHOW server_version')}, {os.cpu_count()} cores, Linux {platform.release()}; "
        f"{clients} clients, {options.threads} pgbench threads, scale {options.scale}; medians of "
        f"{options.rounds} × {options.seconds:g} s (sweep: {options.sweep_rounds} × {options.seconds:g} s){calls}"
    )


def table_clients(options):
    return USUAL_CLIENTS if USUAL_CLIENTS in options.clients else options.clients[0]


def report_workloads(cluster, chosen, names, options, report, counting):
    found, clients = {}, table_clients(options)
    for name in names:
        load = Load(name, clients, options.threads, options.seconds)
        found[name], out = compare(cluster, chosen, load, options.rounds, counting)
        report.say(comparison(name, found[name], out))
        report.keep(rows("workload", name, clients, found[name]))
    if found:
        report.draw("", plot.workloads(found, clients))


def report_copy(cluster, chosen, options, report):
    found, text = copying.measure(cluster, chosen, options)
    report.say(text)
    report.keep(rows("copy", f"{options.copy_mib} MiB", 1, found))


def report_logins(cluster, chosen, options, report):
    found, text = logins.measure(cluster, chosen, options)
    report.say(text)
    report.keep(rows("logins", "SCRAM", logins.CLIENTS, found))


def report_idle(cluster, chosen, options, report):
    found, text = idle.measure(cluster, chosen, options)
    report.say(text)
    for name, sizes in found.items():
        report.keep([row("idle", "KiB each", count, name, {"kib": size}) for count, size in sizes.items()])


def report_sweep(cluster, chosen, options, report):
    found, texts = sweep.measure(cluster, chosen, options)
    for clients, text in zip(found, texts):
        report.say(text)
        report.keep(rows("sweep", options.sweep, clients, found[clients]))
    report.draw("-sweep", plot.sweep(found, options.sweep))


def report_fairness(cluster, chosen, options, report):
    if not (clients := sweep.fairness_clients(options)):
        return report.say("fairness left out: no number of clients is larger than the pool")
    found, text = sweep.fairness(cluster, chosen, options)
    report.say(text)
    return report.keep(rows("fairness", options.fairness, clients, found))


REPORTS = {
    "copy": report_copy, "logins": report_logins, "idle": report_idle, "sweep": report_sweep, "fairness": report_fairness,
}


def main():
    options = arguments(__doc__)
    chosen, names, parts = chosen_from(options)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends everything, as Ctrl-C does
    counting = counter(options.syscalls)

    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        os.chmod(folder, 0o755)
        with Cluster(pathlib.Path(folder)) as cluster:
            workloads.prepare(cluster, options.scale)
            report = Report()
            report.say(heading(cluster, options, counting if names else None))
            report_workloads(cluster, chosen, names, options, report, counting)
            for part in parts:
                REPORTS[part](cluster, chosen, options, report)
            print(f"kept in {report.path}.txt, .csv and .svg")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        sys.exit(str(error))
