"""asyncpg does what its users do with it, against the server at DATABASE_URL."""

import asyncio
import datetime
import decimal
import io
import uuid

import asyncpg

from checks import CHECKS, SCHEMA, URL, check, done, equal, failed

T = f"{SCHEMA}.t"


async def connect(**options):
    return await asyncpg.connect(URL, **options)


async def fresh_table(conn):
    await conn.execute(f"drop table if exists {T}; create table {T} (id int primary key, name text)")


async def ids(conn):
    return [row["id"] for row in await conn.fetch(f"select id from {T} order by id")]


async def raises(error, awaitable):
    try:
        await awaitable
    except error as caught:
        return caught
    raise AssertionError(f"nothing raised {error.__name__}")


@check
async def queries_and_types():
    conn = await connect()
    sent = [
        7, "ü'\\", decimal.Decimal("1.50"), datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
        uuid.UUID(int=5), [1, None, 3], b"\0\xff", datetime.timedelta(days=1, seconds=5), True, 2.5, None,
    ]
    types = "int text numeric timestamptz uuid int[] bytea interval bool float8 text".split()
    query = "select " + ", ".join(f"${number}::{name}" for number, name in enumerate(types, 1))
    equal(list(await conn.fetchrow(query, *sent)), sent)
    equal(await conn.fetchval("select length($1::text)", "y" * 2_000_000), 2_000_000, "a large parameter")
    equal(len(await conn.fetch("select generate_series(1, 50000)")), 50_000, "many rows")
    equal(await conn.fetchval("select 1 where false"), None)
    equal(await conn.execute("select 1; select 2"), "SELECT 1", "a simple query of two statements")
    await conn.close()


@check
async def prepared_statements():
    conn = await connect(statement_cache_size=20)
    await fresh_table(conn)
    statement = await conn.prepare("select $1::int + 1 as next")
    equal([attribute.type.name for attribute in statement.get_attributes()], ["int4"])
    equal([parameter.name for parameter in statement.get_parameters()], ["int4"])
    for number in range(10):
        equal(await statement.fetchval(number), number + 1)
    for number in range(60):  # more than the cache holds: the oldest are closed
        equal(await conn.fetchval(f"select {number} + $1::int", 1), number + 1)
    equal(await statement.fetchval(1), 2, "still there")
    await raises(asyncpg.DivisionByZeroError, conn.fetchval("select 1 / $1::int", 0))
    equal(await conn.fetchval("select 1 / $1::int", 1), 1, "after the error")
    plan = await (await conn.prepare(f"select * from {T} where id = $1")).explain(1)
    assert plan, "EXPLAIN of a prepared statement"
    await conn.close()


@check
async def without_a_statement_cache():
    conn = await connect(statement_cache_size=0)
    for number in range(10):
        equal(await conn.fetchval("select $1::int", number), number)
    await conn.close()


@check
async def a_changed_table_under_a_prepared_statement():
    conn = await connect()
    await fresh_table(conn)
    await conn.execute(f"insert into {T} values (1, 'x')")
    query = f"select * from {T} where id = $1"
    equal(tuple(await conn.fetchrow(query, 1)), (1, "x"))
    other = await connect()
    await other.execute(f"alter table {T} add column more int default 5")
    equal(tuple(await conn.fetchrow(query, 1)), (1, "x", 5), "asyncpg prepares again by itself")
    await other.close()
    await conn.close()


@check
async def transactions():
    conn, other = await connect(), await connect()
    await fresh_table(conn)
    async with conn.transaction():
        await conn.execute(f"insert into {T} values (1)")
        equal(await ids(conn), [1], "own writes")
        equal(await ids(other), [], "not yet committed")
        error = await raises(asyncpg.UniqueViolationError, savepoint(conn, f"insert into {T} values (1)"))
        equal((error.sqlstate, error.constraint_name), ("23505", "t_pkey"))
        await savepoint(conn, f"insert into {T} values (2)")
    equal(await ids(other), [1, 2], "committed")
    transaction = conn.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    equal(await ids(conn), [1, 2])
    await other.execute(f"insert into {T} values (3)")
    equal(await ids(conn), [1, 2], "the snapshot stays")
    await raises(asyncpg.ReadOnlySQLTransactionError, conn.execute(f"delete from {T}"))
    await transaction.rollback()
    equal(await ids(conn), [1, 2, 3])
    async with conn.transaction(isolation="serializable", deferrable=True, readonly=True):
        equal(await conn.fetchval("show transaction_isolation"), "serializable")
        equal(await ids(conn), [1, 2, 3])
    await other.close()
    await conn.close()


async def savepoint(conn, statement):
    async with conn.transaction():
        await conn.execute(statement)


@check
async def copies():
    conn = await connect()
    await fresh_table(conn)
    rows = [(number, f"name {number}\t\\ü") for number in range(5000)]
    equal(await conn.copy_records_to_table("t", schema_name=SCHEMA, records=rows), "COPY 5000")
    out = io.BytesIO()
    equal(await conn.copy_from_query(f"select * from {T} where id < $1 order by id", 2, output=out), "COPY 2")
    equal(out.getvalue().decode(), "0\tname 0\\t\\\\ü\n1\tname 1\\t\\\\ü\n")
    out = io.BytesIO()
    await conn.copy_from_table("t", schema_name=SCHEMA, output=out, format="csv")
    await conn.execute(f"truncate {T}")
    out.seek(0)
    equal(await conn.copy_to_table("t", schema_name=SCHEMA, source=out, format="csv"), "COPY 5000")
    equal([tuple(row) for row in await conn.fetch(f"select * from {T} order by id")], rows)
    again = conn.copy_records_to_table("t", schema_name=SCHEMA, records=rows[:1])
    await raises(asyncpg.UniqueViolationError, again)
    equal(await conn.fetchval("select 1"), 1, "after the error")
    await conn.close()


@check
async def cursors():
    conn = await connect()
    async with conn.transaction():
        found = [row[0] async for row in conn.cursor("select generate_series(1, $1::int)", 1000, prefetch=50)]
        equal(found, list(range(1, 1001)))
        cursor = await conn.cursor("select generate_series(1, 10)")
        equal(await cursor.forward(2), 2)
        equal([row[0] for row in await cursor.fetch(3)], [3, 4, 5])
        equal(await conn.fetchval("select 'between'"), "between")
        equal((await cursor.fetchrow())[0], 6)
    await conn.close()


@check
async def executemany():
    conn = await connect()
    await fresh_table(conn)
    rows = [(number, str(number)) for number in range(3000)]
    await conn.executemany(f"insert into {T} values ($1, $2)", rows)
    equal(len(await ids(conn)), 3000)
    doubled = [(5000, "x"), (5000, "y"), (5001, "z")]
    await raises(asyncpg.UniqueViolationError, conn.executemany(f"insert into {T} values ($1, $2)", doubled))
    equal(len(await ids(conn)), 3000, "executemany is all or nothing")
    found = await conn.fetchmany(f"update {T} set name = $2 where id = $1 returning name", [(1, "a"), (2, "b")])
    equal([row[0] for row in found], ["a", "b"])
    await conn.close()


@check
async def listen_and_notify():
    channel = f"{SCHEMA}_news"
    listener, sender = await connect(), await connect()
    heard = asyncio.Queue()
    hear = lambda conn, pid, name, payload: heard.put_nowait((name, payload))
    await listener.add_listener(channel, hear)
    async with sender.transaction():
        await sender.execute("select pg_notify($1, 'first')", channel)
        equal(await listener.fetchval("select 1"), 1)
        equal(heard.qsize(), 0, "not before the commit")
    equal(await asyncio.wait_for(heard.get(), 10), (channel, "first"))
    await sender.execute(f"notify {channel}, 'second'")
    equal(await asyncio.wait_for(heard.get(), 10), (channel, "second"))
    equal(await listener.fetchval("select 1"), 1, "queries between notifications")
    await listener.remove_listener(channel, hear)
    await sender.execute(f"notify {channel}, 'third'")
    equal(await listener.fetchval("select 1"), 1)
    equal(heard.qsize(), 0)
    await listener.close()
    await sender.close()


@check
async def timeouts_cancel():
    conn = await connect()
    begin = asyncio.get_running_loop().time()
    await raises(asyncio.TimeoutError, conn.fetch("select pg_sleep(30)", timeout=0.3))
    equal(await conn.fetchval("select 1"), 1, "the connection is free again")
    task = asyncio.create_task(conn.fetch("select pg_sleep(30)"))
    await asyncio.sleep(0.3)
    task.cancel()
    await raises(asyncio.CancelledError, task)
    equal(await conn.fetchval("select 2"), 2, "after a cancelled task")
    assert asyncio.get_running_loop().time() - begin < 20, "the cancels took too long"
    await conn.close()


@check
async def type_introspection():
    conn = await connect()
    await conn.execute(
        f"""create type {SCHEMA}.mood as enum ('sad', 'ok');
            create type {SCHEMA}.pair as (a int, b {SCHEMA}.mood);
            create domain {SCHEMA}.positive as int check (value > 0);"""
    )
    row = await conn.fetchrow(
        f"select 'ok'::{SCHEMA}.mood, array['sad']::{SCHEMA}.mood[], row(1, 'ok')::{SCHEMA}.pair, 5::{SCHEMA}.positive"
    )
    equal((row[0], row[1], tuple(row[2]), row[3]), ("ok", ["sad"], (1, "ok"), 5))
    await conn.set_type_codec(
        "mood", schema=SCHEMA, encoder=str.lower, decoder=str.upper, format="text"
    )
    equal(await conn.fetchval(f"select $1::{SCHEMA}.mood", "SAD"), "SAD")
    equal((await conn.fetchrow("select int4range(1, 5)"))[0], asyncpg.Range(1, 5))
    await conn.close()


@check
async def settings():
    conn = await connect(server_settings={"application_name": "a check", "work_mem": "6MB", "app.start": "yes"})
    show = lambda name: conn.fetchval("select current_setting($1, true)", name)
    equal([await show(name) for name in ("application_name", "work_mem", "app.start")], ["a check", "6MB", "yes"])
    await conn.execute("set work_mem = '7MB'; set app.tenant = '42'")
    equal((await show("work_mem"), await show("app.tenant")), ("7MB", "42"))
    async with conn.transaction():
        await conn.execute("set local work_mem = '8MB'")
        equal(await show("work_mem"), "8MB")
    equal(await show("work_mem"), "7MB")
    await conn.execute("set timezone = 'Asia/Tokyo'")
    equal(conn.get_settings().TimeZone, "Asia/Tokyo")
    await conn.reset()
    equal(await show("work_mem"), "6MB", "RESET ALL returns to the start-up value")
    equal(await show("app.tenant") or None, None)
    await conn.close()


@check
async def notices_and_errors():
    conn = await connect()
    heard = []
    conn.add_log_listener(lambda conn, message: heard.append(message.message))
    await conn.execute("do $$ begin raise notice 'hello'; end $$")
    await asyncio.sleep(0)
    equal(heard, ["hello"])
    error = await raises(asyncpg.PostgresSyntaxError, conn.fetch("selec 1"))
    equal((error.sqlstate, error.position), ("42601", "1"))
    await raises(asyncpg.UndefinedTableError, conn.fetch("select * from no_such_table"))
    await raises(asyncpg.InvalidTextRepresentationError, conn.fetch("select ('x' || $1)::int", "y"))
    await conn.close()


@check
async def a_pool_reads_what_it_wrote_on_any_connection():
    async with asyncpg.create_pool(URL, min_size=8, max_size=8) as pool:
        async with pool.acquire() as conn:
            await fresh_table(conn)

        async def work(worker):
            for number in range(25):
                key = worker * 100 + number
                await pool.execute(f"insert into {T} values ($1, 'new')", key)
                equal(await pool.fetchval(f"select name from {T} where id = $1", key), "new", "own insert")
                async with pool.acquire() as conn, conn.transaction():
                    await conn.execute(f"update {T} set name = 'changed' where id = $1", key)
                equal(await pool.fetchval(f"select name from {T} where id = $1", key), "changed", "own update")

        await asyncio.gather(*[work(worker) for worker in range(16)])
        equal(await pool.fetchval(f"select count(*) from {T}"), 400)


async def main():
    conn = await connect()
    await conn.execute(f"create schema {SCHEMA}")
    try:
        for function in CHECKS:
            try:
                await asyncio.wait_for(function(), 60)
            except Exception as error:
                failed(function, error)
    finally:
        await conn.execute(f"drop schema {SCHEMA} cascade")
        await conn.close()
    done()


asyncio.run(main())
