"""Memory per idle client: opens many connections that have run one query and now do nothing."""

import asyncio
import resource
import sys
import time

from client import connect
from measure import started
from report import table

BATCH = 50
SPARE = 200  # file descriptors for everything else


async def memory_per_client(running, counts):
    """Resident bytes that each of so many idle connections adds, by their number."""
    streams, found = [await connect(running.port)], {}
    before = running.process.usage()["memory"]
    for count in sorted(counts):
        while len(streams) <= count:
            batch = range(min(BATCH, count + 1 - len(streams)))
            streams += await asyncio.wait_for(asyncio.gather(*(connect(running.port) for _ in batch)), 30)
        time.sleep(1)  # what was only needed to log in is given back
        found[count] = (running.process.usage()["memory"] - before) / count
    for _, writer in streams:
        writer.close()
    return found


def possible(counts):
    """Those for which there are file descriptors, here and in a proxy."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE
    return [count for count in counts if count <= limit], [count for count in counts if count > limit]


def measure(cluster, chosen, options):
    """KiB by contestant and number of clients, and a text."""
    counts, too_many = possible(options.idle)
    found = {}
    with started(cluster, [one for one in chosen if one.name != "direct"], False, max(counts, default=1)) as (running, out):
        for name, one in running:
            try:
                added = asyncio.run(memory_per_client(one, counts))
            except (RuntimeError, OSError, EOFError, TimeoutError) as error:
                out.excuse(name, str(error))
                continue
            found[name] = {str(count): size / 1024 for count, size in added.items()}
            print(f"  idle, {name}: done", file=sys.stderr)
    head = ["KiB per idle client", *(f"{count} clients" for count in counts)]
    cells = [[name, *(f"{size:.1f}" for size in sizes.values())] for name, sizes in found.items()]
    notes = [f"  {count} clients left out: more than the limit of open files allows" for count in too_many]
    return found, "\n".join([table(head, cells), *out.lines(), *notes])
