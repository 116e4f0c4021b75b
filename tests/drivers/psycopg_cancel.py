"""psycopg cancels what its connections run, each request by a connection of its own to the server at DATABASE_URL.

Prints how often it has done so, for each way that libpq has.
"""

import os
import threading
import time

import psycopg
from psycopg import pq

ROUNDS = 6


def cancelled(conn, cancel):
    """Has a long statement cancelled; requests that come before it has begun do nothing, so several may be needed."""
    outcome = []

    def run():
        try:
            conn.execute("select pg_sleep(30)")
            outcome.append("it ran to its end")
        except psycopg.errors.QueryCanceled:
            outcome.append(None)

    thread = threading.Thread(target=run)
    begun = time.monotonic()
    thread.start()
    while thread.is_alive():
        cancel()
        thread.join(0.05)
    assert outcome == [None], outcome
    assert time.monotonic() - begun < 15, "a cancel request took too long"
    assert conn.execute("select 1").fetchone() == (1,)


def main():
    url = os.environ["DATABASE_URL"]
    versions = ["3.0"]
    if pq.version() >= 180000:
        versions.append("3.2")
    for version in versions:
        more = {"max_protocol_version": version} if pq.version() >= 180000 else {}
        for _ in range(ROUNDS):
            with psycopg.connect(url, autocommit=True, **more) as conn:
                cancelled(conn, conn.cancel)
                cancelled(conn, conn.cancel_safe)
        print(f"protocol {version}: {2 * ROUNDS}")
    print("done")


main()
