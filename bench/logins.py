"""Logging in by SCRAM and out again, a few clients side by side: how often, and the proxy's CPU each time."""

import asyncio
import sys
import time

from client import connect
from measure import spent, started, usage
from report import figure, table

CLIENTS = 4
WARM = 0.3  # seconds, after which a proxy knows the user and has its connections


async def once(port):
    _, writer = await connect(port, query=False)
    writer.write(b"X\0\0\0\4")
    writer.close()
    await writer.wait_closed()


async def repeat(port, until):
    count = 0
    while time.monotonic() < until:
        await once(port)
        count += 1
    return count


async def logins(port, seconds):
    until = time.monotonic() + seconds
    everybody = asyncio.gather(*(repeat(port, until) for _ in range(CLIENTS)))
    return sum(await asyncio.wait_for(everybody, seconds + 30))


def run(running, seconds):
    asyncio.run(logins(running.port, WARM))
    before = usage(running)()
    begun = time.monotonic()
    count = asyncio.run(logins(running.port, seconds))
    found = {"logins": count / (time.monotonic() - begun)}
    if before:
        found |= spent(before, usage(running)(), count)
    return found


def measure(cluster, chosen, options):
    """Figures by contestant, and a text."""
    found = {}
    with started(cluster, chosen, False, CLIENTS) as (running, out):
        for name, one in running:
            try:
                found[name] = run(one, options.login_seconds)
            except (RuntimeError, OSError, EOFError, TimeoutError) as error:
                out.excuse(name, str(error))
                continue
            print(f"  logins, {name}: {found[name]['logins']:.0f} per second", file=sys.stderr)
    head = [f"SCRAM logins, {CLIENTS} at a time", "per second", "user µs", "sys µs", "CPU µs each"]
    cells = [
        [name, *[figure(result, key, 0) for key in ("logins", "user", "system", "cpu")]] for name, result in found.items()
    ]
    return found, "\n".join([table(head, cells), *out.lines()])
