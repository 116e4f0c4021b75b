"""Memory per idle client: opens many connections that have run one query and now do nothing."""

import asyncio
import time

from client import connect


async def memory_per_client(running, clients):
    """Resident bytes that each of `clients` idle connections adds, or None for the server itself."""
    streams = [await connect(running.port)]
    before = running.process.usage()["rss"]
    for begin in range(0, clients, 50):
        batch = range(begin, min(begin + 50, clients))
        streams += await asyncio.gather(*(connect(running.port) for _ in batch))
    time.sleep(1)  # what was only needed to log in is given back
    after = running.process.usage()["rss"]
    for _, writer in streams:
        writer.close()
    return (after - before) / clients
