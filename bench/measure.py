"""Contestants side by side: rounds in which they take turns, and medians over the rounds."""

import contextlib
import statistics
import sys

import syscalls
from workloads import Load, is_prepared, run

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def in_turns(things, count):
    """Every round has all of them and begins with another one, so that nobody always comes first."""
    for turn in range(count):
        shift = turn % max(len(things), 1)
        for thing in things[shift:] + things[:shift]:
            yield turn, thing


class LeftOut(dict):
    """Why contestants do not take part, by their names."""

    def excuse(self, name, why):
        self[name] = why
        print(f"  {name}: {why}", file=sys.stderr)

    def lines(self):
        return [f"  {name} left out: {why}" for name, why in self.items()]


@contextlib.contextmanager
def started(cluster, chosen, prepared, clients):
    """Those of `chosen` that can serve so many clients, running, and why the others cannot."""
    out, running = LeftOut(), []
    with contextlib.ExitStack() as stack:
        for contestant in chosen:
            if why := contestant.refuses(prepared, clients):
                out.excuse(contestant.name, why)
                continue
            try:
                one = stack.enter_context(contestant.running(cluster, prepared, clients))
                running.append((contestant.name, one))
            except RuntimeError as error:
                out.excuse(contestant.name, str(error))
        yield running, out


def usage(running):
    """A function that looks at a proxy; at the server itself nobody looks."""
    return running.process.usage if running.process else lambda: None


def figures(window):
    """Of one window: throughput, latencies in ms, and what the proxy spent per transaction."""
    count = len(window.latencies)
    found = {"tps": count / window.seconds, "transactions": count}
    found |= {name: percentile(window.latencies, share) for name, share in PERCENTILES.items()}
    if window.before:
        found |= spent(window.before, window.after, count) | {"memory": window.after["memory"] / 2**20}
    return found


def spent(before, after, count):
    """What a proxy spent between two looks, for each of `count`: CPU in µs, voluntary context switches."""
    cpu, user, system, switches = (after[name] - before[name] for name in ("cpu", "user", "system", "switches"))
    share = user / (user + system) if user + system else 0  # ticks are too coarse for more than the proportion
    found = {"user": cpu * share, "system": cpu * (1 - share), "cpu": cpu, "switches": switches}
    return {name: value / count for name, value in found.items()}


def compare(cluster, chosen, load, rounds, counter=None):
    """Medians by contestant, with the remark on how it ran and its system calls, and who was left out."""
    results, names = {}, [contestant.name for contestant in chosen]
    with started(cluster, chosen, is_prepared(load.workload), load.clients) as (running, out):
        for turn, (name, one) in in_turns(running, rounds):
            if name in out:
                continue
            cluster.wait_for_replicas()
            try:
                result = figures(run(cluster, one.port, load, usage(one)))
            except RuntimeError as error:
                out.excuse(name, str(error))
                continue
            results.setdefault(name, []).append(result)
            shown = f"{load.workload}, {load.clients} clients, round {turn + 1}"
            print(f"  {shown}, {name}: {result['tps']:.0f} tps", file=sys.stderr)
        calls = count_calls(cluster, running, out, load, counter)
        remarks = {name: one.remark for name, one in running}
    found = {}
    for name in names:
        if name in results and name not in out:
            found[name] = medians(results[name]) | {"remark": remarks[name]} | calls.get(name, {})
    return found, out


def medians(results):
    return {key: statistics.median(result[key] for result in results) for key in results[0]}


def count_calls(cluster, running, out, load, counter):
    """System calls by contestant, when something can count them."""
    found = {}
    for name, one in running:
        if counter and one.process and name not in out:
            short = Load(load.workload, load.clients, load.threads, 1)
            try:
                every, by_name = syscalls.count(counter, cluster, one, short)
            except (RuntimeError, OSError) as error:
                print(f"  {name}: system calls not counted: {error}", file=sys.stderr)
                continue
            found[name] = {"calls": every, "by_call": by_name}
    return found
