"""psycopg and asyncpg at the console at DATABASE_URL."""

import asyncio
from decimal import Decimal

import asyncpg
import psycopg

from checks import CHECKS, URL, check, done, equal, failed


def typed(row):
    """The values that the checks are about."""
    return row["database"], row["pool_mode"], row["sv_idle"] >= 0, type(row["cl_active"])


@check
def psycopg_in_autocommit():
    from psycopg.rows import dict_row

    with psycopg.connect(URL, autocommit=True, row_factory=dict_row) as conn:
        for command in ["SHOW POOLS", "show pools;"]:
            equal(typed(conn.execute(command).fetchone()), ("app", "transaction", True, int))
        stats = conn.execute("show stats").fetchone()
        equal(type(stats["total_query_count"]), Decimal)
        equal(conn.execute("show databases", binary=True).fetchone()["force_user"], None)
        equal(type(conn.execute("show stats", binary=True).fetchone()["avg_query_count"]), Decimal)
        conn.execute("disable app")
        equal(conn.execute("show databases").fetchone()["disabled"], 1)
        conn.execute("enable app")
        try:
            conn.execute("enable app")
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            equal(error.diag.message_primary, 'database "app" is not disabled')
        else:
            raise AssertionError("it was enabled twice")


@check
def asyncpg_fetches():
    async def run():
        conn = await asyncpg.connect(URL)
        for _ in range(3):
            equal(typed((await conn.fetch("SHOW POOLS;"))[0]), ("app", "transaction", True, int))
        stats = await conn.fetchrow("show stats")
        equal(type(stats["total_query_count"]), Decimal)
        equal(await conn.execute("reconnect app"), "RECONNECT")
        await conn.close()

    asyncio.run(run())


for function in CHECKS:
    try:
        function()
    except BaseException as error:
        failed(function, error)
done()
