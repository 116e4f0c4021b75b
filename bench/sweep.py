"""One workload with few and many clients; and whether many clients are served alike."""

import sys

from contestants import POOL
from measure import compare, percentile, started
from report import comparison, figure, named, table
from workloads import Load, is_prepared, run


def measure(cluster, chosen, options):
    """Figures by number of clients and contestant, and a text for each number."""
    found, texts = {}, []
    for clients in options.clients:
        load = Load(options.sweep, clients, options.threads, options.seconds)
        found[clients], out = compare(cluster, chosen, load, options.sweep_rounds)
        texts.append(comparison(f"{options.sweep}, {clients} clients", found[clients], out))
    return found, texts


def fairness_clients(options):
    """The largest number of clients, when they have to share connections; otherwise none."""
    most = max(options.clients)
    return most if most > POOL else None


def fairness(cluster, chosen, options):
    """How far apart clients of one long run are, by contestant, and a text."""
    clients = fairness_clients(options)
    load = Load(options.fairness, clients, options.threads, options.fairness_seconds)
    found = {}
    with started(cluster, chosen, is_prepared(load.workload), clients) as (running, out):
        for name, one in running:
            cluster.wait_for_replicas()
            try:
                found[name] = spread(run(cluster, one.port, load), clients) | {"remark": one.remark}
            except RuntimeError as error:
                out.excuse(name, str(error))
                continue
            print(f"  fairness, {name}: done", file=sys.stderr)
    return found, show(found, load, out)


def spread(window, clients):
    """Latencies in ms, and the most and the fewest transactions that a client has completed."""
    each = sorted(window.by_client.values())
    each = [0] * (clients - len(each)) + each  # some have completed none
    p50, p99 = (percentile(window.latencies, share) for share in (0.50, 0.99))
    found = {"tps": len(window.latencies) / window.seconds, "p50": p50, "p99": p99, "p99/p50": p99 / p50}
    found |= {"fewest": each[0], "median": each[len(each) // 2], "most": each[-1]}
    return found | ({"most/fewest": each[-1] / each[0]} if each[0] else {})


def show(found, load, out):
    head = [
        f"fairness, {load.workload}, {load.clients} clients", "tps", "p50 ms", "p99 ms", "p99/p50", "fewest/client",
        "median", "most", "most/fewest",
    ]
    keys = {"tps": 0, "p50": 2, "p99": 2, "p99/p50": 2, "fewest": 0, "median": 0, "most": 0, "most/fewest": 2}
    cells = [
        [named(name, result), *(figure(result, key, decimals) for key, decimals in keys.items())]
        for name, result in found.items()
    ]
    return "\n".join([table(head, cells), *out.lines()])
