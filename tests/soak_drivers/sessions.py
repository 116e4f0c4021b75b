"""Random sessions of psycopg and asyncpg against the server at DATABASE_URL: `sessions.py psycopg`.

Each session keeps its own rows of the table `soak`, knows what must be in them, does random things, checks what it gets,
and leaves in a random way. SOAK_SEED and SOAK_SECONDS say which and how long; the same seed does the same things.
"""

import asyncio
import os
import random
import re
import socket
import sys
import time
import traceback

import asyncpg
import psycopg

URL = os.environ["DATABASE_URL"]
SEED = int(os.environ["SOAK_SEED"])
UNTIL = time.monotonic() + float(os.environ["SOAK_SECONDS"])
SESSIONS = int(os.environ["SOAK_SESSIONS"])


class Psycopg:
    """Statements with $1, as asyncpg takes them."""

    def __init__(self, conn):
        self.conn, self.threshold = conn, conn.prepare_threshold

    @classmethod
    async def connect(cls, prepared):
        conn = await psycopg.AsyncConnection.connect(URL, autocommit=True, prepare_threshold=0 if prepared else None)
        return cls(conn)

    async def rows(self, sql, *args):
        # The same parameter can stand in several places.
        named = {f"p{number}": value for number, value in enumerate(args, 1)}
        text = re.sub(r"\$(\d)", r"%(p\1)s", sql.replace("%", "%%")) if args else sql
        cursor = await self.conn.execute(text, named or None)
        return await cursor.fetchall() if cursor.description else []

    async def run(self, sql):
        await self.conn.execute(sql, prepare=False)

    async def pipeline(self, sql, values):
        async with self.conn.pipeline():
            cursors = [await self.conn.execute(re.sub(r"\$1", "%s", sql), [value]) for value in values]
            return [(await cursor.fetchone())[0] for cursor in cursors]

    async def copy_in(self, table, records):
        async with self.conn.cursor() as cursor, cursor.copy(f"copy {table} from stdin") as copy:
            for record in records:
                await copy.write_row(record)

    async def copy_out(self, query):
        async with self.conn.cursor() as cursor, cursor.copy(f"copy ({query}) to stdout") as copy:
            return b"".join([bytes(part) async for part in copy]).count(b"\n")

    async def notified(self, channel, payload):
        await self.run(f"listen {channel}; notify {channel}, '{payload}'")
        async for notice in self.conn.notifies(timeout=30, stop_after=1):
            return notice.payload

    def sqlstate(self, error):
        return error.sqlstate if isinstance(error, psycopg.Error) else None

    async def close(self):
        await self.conn.close()

    def cut(self):
        with socket.socket(fileno=os.dup(self.conn.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    async def bury(self):
        await self.conn.close()


class Asyncpg:
    def __init__(self, conn):
        self.conn = conn

    @classmethod
    async def connect(cls, prepared):
        return cls(await asyncpg.connect(URL, statement_cache_size=20 if prepared else 0))

    async def rows(self, sql, *args):
        return [tuple(row) for row in await self.conn.fetch(sql, *args)]

    async def run(self, sql):
        await self.conn.execute(sql)

    async def pipeline(self, sql, values):
        statement = await self.conn.prepare(sql, name=f"own_{random.getrandbits(64):x}")
        return [await statement.fetchval(value) for value in values]

    async def copy_in(self, table, records):
        await self.conn.copy_records_to_table(table, records=records)

    async def copy_out(self, query):
        lines = bytearray()

        async def take(data):
            lines.extend(data)

        await self.conn.copy_from_query(query, output=take)
        return lines.count(b"\n")

    async def notified(self, channel, payload):
        heard = asyncio.get_running_loop().create_future()
        await self.conn.add_listener(channel, lambda *notice: heard.done() or heard.set_result(notice[3]))
        await self.run(f"notify {channel}, '{payload}'")
        return await asyncio.wait_for(heard, 30)

    def sqlstate(self, error):
        return getattr(error, "sqlstate", None)

    async def close(self):
        await self.conn.close(timeout=30)

    def cut(self):
        self.conn._transport.abort()

    async def bury(self):
        pass


class Session:
    """One connection, and what must be in its rows."""

    def __init__(self, driver, dice, owner):
        self.driver, self.dice, self.owner = driver, dice, owner
        self.values, self.settings, self.locks = {}, {}, 0

    async def fails(self, sqlstate, sql):
        try:
            await self.driver.rows(sql)
        except Exception as error:
            if self.driver.sqlstate(error) != sqlstate:
                raise
            return
        raise AssertionError(f"{sql} did not fail")

    async def write(self, values):
        key, value = self.dice.randrange(6), self.dice.randrange(10**6)
        await self.driver.rows(
            "insert into soak values ($1, $2, $3) on conflict (owner, id) do update set value = excluded.value",
            self.owner, key, value,
        )
        values[key] = value

    async def check_rows(self, values):
        found = await self.driver.rows("select id, value from soak where owner = $1", self.owner)
        assert dict(found) == values, f"rows {found} and not {values}"

    async def op_read(self):
        if self.values:
            key = self.dice.choice(sorted(self.values))
            found = await self.driver.rows("select value from soak where owner = $1 and id = $2", self.owner, key)
            assert found == [(self.values[key],)], f"row {key}: {found}, not {self.values[key]}"

    async def op_write(self):
        await self.write(self.values)
        await self.check_rows(self.values)

    async def op_transaction(self):
        values = dict(self.values)
        await self.driver.run("begin")
        for _ in range(self.dice.randint(1, 3)):
            await self.write(values)
        await self.check_rows(values)
        if self.dice.random() < 0.3:
            await self.fails("22012", "select 1 / 0")
            await self.fails("25P02", "select 1")
            await self.driver.run("rollback")
        elif self.dice.random() < 0.3:
            await self.driver.run("rollback")
        else:
            await self.driver.run("commit")
            self.values = values
        await self.check_rows(self.values)

    async def op_error(self):
        await self.fails("42P01", "select * from no_such_table")

    async def op_pipeline(self):
        sent = [self.dice.randrange(1000) for _ in range(self.dice.randint(1, 8))]
        got = await self.driver.pipeline("select $1::int + 1", sent)
        assert got == [value + 1 for value in sent], got

    async def op_copy(self):
        count = self.dice.randint(1, 400)
        await self.driver.run("begin")
        await self.driver.copy_in("soak", [(self.owner, 100 + number, number) for number in range(count)])
        assert await self.driver.copy_out(f"select * from soak where owner = '{self.owner}' and id >= 100") == count
        await self.driver.run("rollback")
        await self.check_rows(self.values)

    async def op_temporary_table(self):
        name = f"temporary_{self.dice.getrandbits(60):x}"
        await self.driver.run(f"create temp table {name} (n int)")
        await self.driver.rows(f"insert into {name} values ($1)", 7)
        assert await self.driver.rows(f"select n from {name}") == [(7,)]
        if self.dice.random() < 0.7:
            await self.driver.run(f"drop table {name}")

    async def op_advisory_lock(self):
        key = self.dice.getrandbits(50)
        if self.dice.random() < 0.5:
            assert await self.driver.rows("select pg_try_advisory_lock($1)", key) == [(True,)]
        else:
            await self.driver.rows("select pg_advisory_lock($1)", key)
        if self.dice.random() < 0.6:
            assert await self.driver.rows("select pg_advisory_unlock($1)", key) == [(True,)]

    async def op_notify(self):
        channel, payload = f"channel_{self.dice.getrandbits(60):x}", f"{self.dice.random()}"
        assert await self.driver.notified(channel, payload) == payload
        if self.dice.random() < 0.5:
            await self.driver.run("unlisten *")

    async def op_hold_cursor(self):
        name = f"cursor_{self.dice.getrandbits(60):x}"
        await self.driver.run(f"declare {name} cursor with hold for select generate_series(1, 5)")
        assert await self.driver.rows(f"fetch 2 from {name}") == [(1,), (2,)]
        assert await self.driver.rows(f"fetch 1 from {name}") == [(3,)]
        if self.dice.random() < 0.7:
            await self.driver.run(f"close {name}")

    async def op_setting(self):
        name = self.dice.choice(["app.tenant", "timezone", "statement_timeout"])
        value = {
            "app.tenant": f"t{self.dice.randrange(99)}",
            "timezone": self.dice.choice(["Asia/Tokyo", "Europe/Berlin"]),
            "statement_timeout": self.dice.choice(["50s", "70s"]),
        }[name]
        if self.dice.random() < 0.3:
            await self.driver.run(f"reset {name}")
            self.settings.pop(name, None)
        else:
            await self.driver.run(f"set {name} = '{value}'")
            self.settings[name] = value
        for name, value in self.settings.items():
            found = await self.driver.rows(f"select current_setting('{name}')")
            assert found == [(value,)], f"{name} is {found} and not {value}"

    async def op_sql_prepare(self):
        name = f"prepared_{self.dice.getrandbits(60):x}"
        await self.driver.run(f"prepare {name} (int) as select $1 * 2")
        assert await self.driver.rows(f"execute {name} (21)") == [(42,)]
        if self.dice.random() < 0.7:
            await self.driver.run(f"deallocate {name}")

    async def op_ddl(self):
        table = f"own_{self.owner}_{self.dice.getrandbits(40):x}"
        await self.driver.run(f"create table {table} (a int); insert into {table} values (1)")
        assert await self.driver.rows(f"select * from {table}") == [(1,)]
        await self.driver.run(f"alter table {table} add column b int default 2")
        try:
            assert await self.driver.rows(f"select * from {table}") == [(1, 2)]
        except Exception as error:
            # "cached plan must not change result type": a direct connection says so, too.
            if self.driver.sqlstate(error) != "0A000":
                raise
        await self.driver.run(f"drop table {table}")

    async def leave(self):
        """Leaves in a random way, often rudely."""
        way = self.dice.randrange(6)
        if way >= 3:
            await self.driver.run("begin")
            await self.write({})
        if way in (1, 4):
            query = asyncio.ensure_future(self.driver.rows("select repeat('x', 100), generate_series(1, 300000)"))
            await asyncio.sleep(self.dice.random() * 0.1)
            self.driver.cut()
            await asyncio.gather(query, return_exceptions=True)
            await self.driver.bury()
        elif way == 5:
            records = ((self.owner, 1000 + number, number) for number in range(200000))
            query = asyncio.ensure_future(self.driver.copy_in("soak", records))
            await asyncio.sleep(self.dice.random() * 0.05)
            self.driver.cut()
            # asyncpg waits for ever to be allowed to write more.
            query.cancel()
            await asyncio.gather(query, return_exceptions=True)
            await self.driver.bury()
        elif way in (2, 3):
            self.driver.cut()
            await self.driver.bury()
        else:
            await self.driver.close()


OPS = [
    (Session.op_read, 12), (Session.op_write, 6), (Session.op_transaction, 5), (Session.op_error, 2),
    (Session.op_pipeline, 4), (Session.op_copy, 2), (Session.op_temporary_table, 1), (Session.op_advisory_lock, 1),
    (Session.op_notify, 1), (Session.op_hold_cursor, 1), (Session.op_setting, 3), (Session.op_sql_prepare, 1),
    (Session.op_ddl, 1),
]


async def client(driver_class, number, counts):
    turn = 0
    while time.monotonic() < UNTIL:
        turn += 1
        # A seed of its own for each session, so that it can be run again alone.
        dice = random.Random(f"{SEED} {driver_class.__name__} {number} {turn}")
        owner = f"{driver_class.__name__.lower()}_{SEED}_{number}_{turn}"
        log = []
        try:
            session = Session(await driver_class.connect(dice.random() < 0.5), dice, owner)
            for _ in range(dice.randint(1, 30)):
                ops, weights = zip(*OPS)
                [operation] = dice.choices(ops, weights)
                log.append(operation.__name__)
                await asyncio.wait_for(operation(session), 120)
                counts["operations"] += 1
            log.append("leave")
            await asyncio.wait_for(session.leave(), 120)
            # What it did must be there, and what it did not commit must not.
            session.driver = await driver_class.connect(False)
            await session.check_rows(session.values)
            await session.driver.close()
            counts["sessions"] += 1
        except Exception:
            counts["errors"] += 1
            print(f"seed {SEED}, client {number}, session {turn}: {' '.join(log)}\n{traceback.format_exc()}", flush=True)
            if counts["errors"] > 20:
                return


async def main():
    driver_class = {"psycopg": Psycopg, "asyncpg": Asyncpg}[sys.argv[1]]
    counts = {"operations": 0, "sessions": 0, "errors": 0}
    await asyncio.gather(*(client(driver_class, number, counts) for number in range(SESSIONS)))
    print(f"{sys.argv[1]}: {counts['sessions']} sessions, {counts['operations']} operations, {counts['errors']} errors")
    sys.exit(1 if counts["errors"] else 0)


asyncio.run(main())
