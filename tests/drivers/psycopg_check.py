"""psycopg 3 does what its users do with it, against the server at DATABASE_URL."""

import threading
import time
from datetime import datetime, timezone
from decimal import Decimal

import psycopg
from psycopg import errors, sql
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from checks import CHECKS, SCHEMA, URL, check, done, equal, failed

T = sql.Identifier(SCHEMA, "t")


def connect(**options):
    return psycopg.connect(URL, **options)


def fresh_table(conn):
    """An empty table `t (id int primary key, name text)`, committed."""
    conn.execute(sql.SQL("drop table if exists {}").format(T))
    conn.execute(sql.SQL("create table {} (id int primary key, name text)").format(T))
    conn.commit()


def insert(conn, number, name="x"):
    conn.execute(sql.SQL("insert into {} values (%s, %s)").format(T), [number, name])


def ids(conn):
    return [row[0] for row in conn.execute(sql.SQL("select id from {} order by id").format(T))]


def raises(error, sqlstate, call):
    try:
        call()
    except error as caught:
        equal(caught.sqlstate, sqlstate, "sqlstate")
        return caught
    raise AssertionError(f"nothing raised {error.__name__}")


@check
def simple_and_parameter_queries():
    with connect() as conn:
        equal(conn.execute("select 1, 'a', null").fetchone(), (1, "a", None))
        row = conn.execute(
            "select %s::int, %s::text, %s::numeric, %s::timestamptz, %s::jsonb, %s::int[], %s::bytea",
            [7, "ü'\\", Decimal("1.50"), datetime(2024, 2, 29, tzinfo=timezone.utc), Jsonb({"a": [1]}), [1, 2], b"\0\xff"],
        ).fetchone()
        expected = (7, "ü'\\", Decimal("1.50"), datetime(2024, 2, 29, tzinfo=timezone.utc), {"a": [1]}, [1, 2], b"\0\xff")
        equal(row, expected)
        equal(len(conn.execute("select repeat('x', 3000000)").fetchone()[0]), 3_000_000, "a large value")
        equal(len(conn.execute("select generate_series(1, 50000)").fetchall()), 50_000, "many rows")
        equal(conn.execute("select length(%s)", ["y" * 2_000_000]).fetchone(), (2_000_000,), "a large parameter")


@check
def several_statements_in_one_string():
    with connect() as conn:
        cursor = conn.execute("select 1; select 2, 3; select 4 where false")
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        equal(found, [[(1,)], [(2, 3)], []])
        fresh_table(conn)
        conn.autocommit = True
        insert_two = sql.SQL("insert into {t} values (1); insert into {t} values (1)").format(t=T)
        raises(errors.UniqueViolation, "23505", lambda: conn.execute(insert_two))
        equal(ids(conn), [], "one string is one transaction")
        equal(conn.execute("").statusmessage, None, "an empty statement")


@check
def binary_results_and_parameters():
    with connect() as conn:
        cursor = conn.cursor(binary=True)
        cursor.execute("select 1::int8, 2.5::float8, 'x'::text, '\\x00ff'::bytea, true, %b::int4", [5])
        equal(cursor.fetchone(), (1, 2.5, "x", b"\x00\xff", True, 5))
        equal([column.type_code for column in cursor.description], [20, 701, 25, 17, 16, 23], "column types")


@check
def prepared_statements():
    with connect(autocommit=True) as conn:
        fresh_table(conn)
        for number in range(20):  # prepared by itself after five
            insert(conn, number)
        for _ in range(3):
            row = conn.execute("select %s::int + 1", [41], prepare=True).fetchone()
            equal(row, (42,))
        equal(len(ids(conn)), 20)
        conn.prepare_threshold = 0
        for number in range(150):  # more than the 100 that psycopg keeps: the oldest are closed
            equal(conn.execute(f"select {number} + %s::int", [1]).fetchone(), (number + 1,))
        raises(errors.DivisionByZero, "22012", lambda: conn.execute("select 1 / %s::int", [0]))
        equal(conn.execute("select 1 / %s::int", [1]).fetchone(), (1,), "after the error")


@check
def prepared_statements_of_two_connections_do_not_mix():
    with connect(autocommit=True) as one, connect(autocommit=True) as two:
        one.prepare_threshold = two.prepare_threshold = 0
        for _ in range(3):
            equal(one.execute("select 'one', %s::int", [1]).fetchone(), ("one", 1))
            equal(two.execute("select 'two', %s::text", ["2"]).fetchone(), ("two", "2"))
        one.execute("prepare mine as select 'one'")
        two.execute("prepare mine as select 'two'")
        equal(one.execute("execute mine").fetchone(), ("one",))
        equal(two.execute("execute mine").fetchone(), ("two",))
        one.execute("deallocate mine")
        raises(errors.InvalidSqlStatementName, "26000", lambda: one.execute("execute mine"))


@check
def a_changed_table_under_a_prepared_statement():
    with connect(autocommit=True) as conn:
        fresh_table(conn)
        query = sql.SQL("select * from {} where id = %s").format(T)
        insert(conn, 1)
        for _ in range(7):
            equal(conn.execute(query, [1]).fetchone(), (1, "x"))
        conn.execute(sql.SQL("alter table {} add column more int default 5").format(T))
        try:
            row = conn.execute(query, [1]).fetchone()
        except errors.FeatureNotSupported:  # "cached plan must not change result type" is PostgreSQL's own answer
            conn.execute("deallocate all")
            row = conn.execute(query, [1], prepare=False).fetchone()
        equal(row, (1, "x", 5))


@check
def pipelines():
    with connect(autocommit=True) as conn:
        fresh_table(conn)
        with conn.pipeline():
            cursors = [conn.execute("select %s::int", [number]) for number in range(200)]
        equal([cursor.fetchone()[0] for cursor in cursors], list(range(200)))
        with conn.pipeline() as pipeline:
            insert(conn, 1)
            pipeline.sync()
            read = conn.execute(sql.SQL("select count(*) from {}").format(T))
            equal(read.fetchone(), (1,), "a read after a write in a pipeline")


@check
def an_error_in_the_middle_of_a_pipeline():
    with connect(autocommit=True) as conn:
        fresh_table(conn)


        def run():
            with conn.pipeline() as pipeline:
                insert(conn, 1)
                pipeline.sync()
                insert(conn, 2)
                conn.execute("select 1 / %s::int", [0])
                insert(conn, 3)

        raises(errors.DivisionByZero, "22012", run)
        insert(conn, 4)
        equal(ids(conn), [1, 4], "what the error undid")


@check
def an_error_in_the_middle_of_a_pipeline_that_is_sent_at_once():
    with connect(autocommit=True) as conn:
        fresh_table(conn)
        raw = conn.pgconn
        raw.nonblocking = 0
        raw.enter_pipeline_mode()
        add = f"insert into {SCHEMA}.t values ($1)".encode()
        for parts in ([b"1"], [b"2", b"2", b"3"], [b"4"]):  # the second 2 is an error
            for part in parts:
                raw.send_query_params(add, [part])
            raw.pipeline_sync()
        found = []
        while found.count("PIPELINE_SYNC") < 3:
            result = raw.get_result()
            if result is not None:
                found.append(psycopg.pq.ExecStatus(result.status).name)
        raw.exit_pipeline_mode()
        raw.nonblocking = 1
        expected = "COMMAND_OK PIPELINE_SYNC COMMAND_OK FATAL_ERROR PIPELINE_ABORTED PIPELINE_SYNC COMMAND_OK PIPELINE_SYNC"
        equal(" ".join(found), expected)
        equal(ids(conn), [1, 4])


@check
def transactions():
    with connect() as conn, connect(autocommit=True) as other:
        fresh_table(conn)
        insert(conn, 1)
        equal(ids(conn), [1], "own writes")
        equal(ids(other), [], "not yet committed")
        conn.commit()
        equal(ids(other), [1], "committed")
        insert(conn, 2)
        conn.rollback()
        equal(ids(conn), [1], "rolled back")
        raises(errors.UniqueViolation, "23505", lambda: insert(conn, 1))
        raises(errors.InFailedSqlTransaction, "25P02", lambda: conn.execute("select 1"))
        equal(conn.info.transaction_status, psycopg.pq.TransactionStatus.INERROR)
        conn.rollback()
        equal(conn.info.transaction_status, psycopg.pq.TransactionStatus.IDLE)


@check
def nested_savepoints():
    with connect(autocommit=True) as conn:
        fresh_table(conn)
        with conn.transaction():
            insert(conn, 1)
            try:
                with conn.transaction():
                    insert(conn, 2)
                    with conn.transaction():
                        insert(conn, 3)
                    insert(conn, 1)
            except errors.UniqueViolation:
                pass
            with conn.transaction():
                insert(conn, 4)
            with conn.transaction() as inner:
                insert(conn, 5)
                raise psycopg.Rollback(inner)
        equal(ids(conn), [1, 4])


@check
def transaction_modes():
    with connect() as conn:
        fresh_table(conn)
        conn.read_only = True
        raises(errors.ReadOnlySqlTransaction, "25006", lambda: insert(conn, 1))
        conn.rollback()
        equal(conn.execute("show transaction_read_only").fetchone(), ("on",))
        conn.rollback()
        conn.read_only = None
        conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        equal(conn.execute("show transaction_isolation").fetchone(), ("serializable",))
        insert(conn, 1)
        conn.commit()
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connect(autocommit=True) as other:
            equal(ids(conn), [1])
            insert(other, 2)
            equal(ids(conn), [1], "the snapshot stays")
            conn.commit()
            equal(ids(conn), [1, 2], "a new snapshot")


@check
def autocommit_on_and_off():
    with connect(autocommit=True) as conn:
        fresh_table(conn)
        insert(conn, 1)
        equal(conn.info.transaction_status, psycopg.pq.TransactionStatus.IDLE)
        conn.autocommit = False
        insert(conn, 2)
        equal(conn.info.transaction_status, psycopg.pq.TransactionStatus.INTRANS)
        conn.rollback()
        conn.autocommit = True
        equal(ids(conn), [1])


@check
def copy_in_and_out():
    with connect() as conn:
        fresh_table(conn)
        rows = [(number, f"name {number}\t\\ü") for number in range(5000)]
        cursor = conn.cursor()
        with cursor.copy(sql.SQL("copy {} from stdin").format(T)) as copy:
            for row in rows:
                copy.write_row(row)
        equal(cursor.rowcount, 5000)
        conn.commit()
        with cursor.copy(sql.SQL("copy (select * from {} order by id) to stdout").format(T)) as copy:
            copy.set_types(["int4", "text"])
            equal(list(copy.rows()), rows)
        with cursor.copy(sql.SQL("copy {} to stdout (format binary)").format(T)) as copy:
            copy.set_types(["int4", "text"])
            equal(sorted(copy.rows()), rows)
        conn.execute(sql.SQL("truncate {}").format(T))
        with cursor.copy(sql.SQL("copy {} from stdin (format binary)").format(T)) as copy:
            copy.set_types(["int4", "text"])
            for row in rows[:10]:
                copy.write_row(row)
        equal(len(ids(conn)), 10)


@check
def a_copy_that_fails():
    with connect(autocommit=True) as conn:
        fresh_table(conn)

        def bad_data():
            with conn.cursor().copy(sql.SQL("copy {} from stdin").format(T)) as copy:
                copy.write("1\tx\nnot a number\ty\n")

        raises(errors.InvalidTextRepresentation, "22P02", bad_data)

        class Own(Exception):
            pass

        try:
            with conn.cursor().copy(sql.SQL("copy {} from stdin").format(T)) as copy:
                copy.write("1\tx\n")
                raise Own
        except Own:
            pass
        try:
            with conn.cursor().copy("copy (select generate_series(1, 1000000)) to stdout") as copy:
                copy.read()
                raise Own  # psycopg cancels the rest
        except Own:
            pass
        equal(ids(conn), [], "both were undone, and the connection still works")


@check
def server_side_cursors():
    with connect() as conn:
        fresh_table(conn)
        conn.cursor().executemany(sql.SQL("insert into {} values (%s, 'x')").format(T), [[n] for n in range(1000)])
        conn.commit()
        with conn.cursor(name="portal", scrollable=True) as cursor:
            cursor.itersize = 100
            cursor.execute(sql.SQL("select id from {} order by id").format(T))
            equal(cursor.fetchmany(3), [(0,), (1,), (2,)])
            equal(conn.execute("select 'between'").fetchone(), ("between",))
            cursor.scroll(-1)
            equal(cursor.fetchone(), (2,))
            equal(len([row for row in cursor]), 997)
        conn.commit()
        conn.autocommit = True
        with conn.cursor(name="held", withhold=True) as cursor:
            cursor.execute("select generate_series(1, 10)")
            equal(cursor.fetchmany(2), [(1,), (2,)])
            equal(ids(conn)[:1], [0])
            equal(cursor.fetchmany(2), [(3,), (4,)])
        streamed = [row[0] for row in conn.cursor().stream("select generate_series(1, 2000)")]
        equal(streamed, list(range(1, 2001)), "row by row")


@check
def listen_and_notify():
    channel = f"{SCHEMA}_news"
    with connect(autocommit=True) as listener, connect() as sender:
        listener.execute(f"listen {channel}")
        equal(list(listener.notifies(timeout=0.1)), [], "nothing yet")
        sender.execute("select pg_notify(%s, 'in a transaction')", [channel])
        equal(list(listener.notifies(timeout=0.2)), [], "not before the commit")
        sender.commit()
        equal([n.payload for n in listener.notifies(timeout=10, stop_after=1)], ["in a transaction"])
        sender.autocommit = True
        late = threading.Timer(0.2, lambda: sender.execute(f"notify {channel}, 'while waiting'"))
        late.start()
        equal([(n.channel, n.payload) for n in listener.notifies(timeout=10, stop_after=1)], [(channel, "while waiting")])
        late.join()
        equal(listener.execute("select 1").fetchone(), (1,), "queries between notifications")
        listener.execute(f"unlisten {channel}")
        sender.execute(f"notify {channel}, 'unheard'")
        equal(list(listener.notifies(timeout=0.2)), [])


@check
def cancel():
    with connect(autocommit=True) as conn:
        for call in (conn.cancel, conn.cancel_safe):
            begin = time.monotonic()
            # Cancelling is a request; one that comes before the query is at work has no effect. So it is repeated.
            stop = threading.Event()

            def cancel_until_done(call=call, stop=stop):
                while not stop.wait(0.2):
                    call()

            thread = threading.Thread(target=cancel_until_done)
            thread.start()
            try:
                raises(errors.QueryCanceled, "57014", lambda: conn.execute("select pg_sleep(30)"))
            finally:
                stop.set()
                thread.join()
            assert time.monotonic() - begin < 20, "the cancel took too long"
            # A cancel that comes late may meet the next statement; that is so without a proxy, too.
            for _ in range(3):
                try:
                    conn.execute("select pg_sleep(0.1)")
                except errors.QueryCanceled:
                    pass
            equal(conn.execute("select 1").fetchone(), (1,))


@check
def statement_timeout():
    with connect(autocommit=True) as conn:
        conn.execute("set statement_timeout = '50ms'")
        raises(errors.QueryCanceled, "57014", lambda: conn.execute("select pg_sleep(10)"))
        conn.execute("reset statement_timeout")
        equal(conn.execute("select 'on' from pg_sleep(0.1)").fetchone(), ("on",))


@check
def errors_tell_everything():
    with connect(autocommit=True) as conn:
        fresh_table(conn)
        insert(conn, 1)
        error = raises(errors.UniqueViolation, "23505", lambda: insert(conn, 1))
        equal((error.diag.schema_name, error.diag.table_name, error.diag.constraint_name), (SCHEMA, "t", "t_pkey"))
        error = raises(errors.SyntaxError, "42601", lambda: conn.execute("selec 1"))
        equal((error.diag.severity, error.diag.statement_position), ("ERROR", "1"))
        raises(errors.UndefinedTable, "42P01", lambda: conn.execute("select * from no_such_table"))
        raises(errors.UndefinedFunction, "42883", lambda: conn.execute("select no_such_function(1)"))
        raises(errors.InvalidTextRepresentation, "22P02", lambda: conn.execute("select %s::int", ["x"]))
        raises(errors.RaiseException, "P0001", lambda: conn.execute("do $$ begin raise 'mine'; end $$"))
        notices = []
        conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))
        conn.execute("do $$ begin raise notice 'hello'; end $$")
        equal(notices, ["hello"])


@check
def settings():
    with connect(autocommit=True) as conn:
        show = lambda name: conn.execute("select current_setting(%s, true)", [name]).fetchone()[0]
        usual = show("work_mem")
        conn.execute("set work_mem = '7MB'")
        equal([show("work_mem") for _ in range(5)], ["7MB"] * 5, "SET stays")
        with conn.transaction():
            conn.execute("set local work_mem = '8MB'")
            equal(show("work_mem"), "8MB")
        equal(show("work_mem"), "7MB", "SET LOCAL ends with its transaction")
        with conn.transaction(force_rollback=True):
            conn.execute("set work_mem = '9MB'")
            equal(show("work_mem"), "9MB")
        equal(show("work_mem"), "7MB", "SET is undone by a rollback")
        with conn.transaction():
            with conn.transaction(force_rollback=True):
                conn.execute("set work_mem = '9MB'")
            equal(show("work_mem"), "7MB", "SET is undone by a rollback to a savepoint")
            conn.execute("set work_mem = '10MB'")
        equal(show("work_mem"), "10MB", "SET is kept by a commit")
        conn.execute("select set_config('app.tenant', '42', false)")
        equal(show("app.tenant"), "42")
        conn.execute("set app.tenant = 'forty three'")
        equal(show("app.tenant"), "forty three")
        conn.execute("reset work_mem")
        equal(show("work_mem"), usual)
        conn.execute("discard all")
        equal(show("app.tenant") or None, None, "after DISCARD ALL")
        with connect(autocommit=True) as other:
            equal(other.execute("select current_setting('app.tenant', true)").fetchone()[0] or None, None)


@check
def start_up_options():
    options = "-c work_mem=6MB -c app.start=yes -c search_path=" + SCHEMA
    with connect(options=options, application_name="a check", autocommit=True) as conn:
        for _ in range(3):
            row = conn.execute("select current_setting('work_mem'), current_setting('app.start'), current_schema()")
            equal(row.fetchone(), ("6MB", "yes", SCHEMA))
        conn.execute("set work_mem = '7MB'")
        conn.execute("reset work_mem")
        equal(conn.execute("show work_mem").fetchone(), ("6MB",), "RESET returns to the start-up value")
        equal(conn.execute("show application_name").fetchone(), ("a check",))
        equal(conn.info.parameter_status("application_name"), "a check")


@check
def client_encoding_and_reported_settings():
    with connect(client_encoding="latin1", autocommit=True) as conn:
        equal(conn.info.encoding, "iso8859-1")
        equal(conn.execute("select 'ü', length('ü'), %s", ["ö"]).fetchone(), ("ü", 1, "ö"))
        conn.execute("set client_encoding = 'utf8'")
        equal(conn.info.encoding, "utf-8")
        equal(conn.execute("select '€'").fetchone(), ("€",))
        conn.execute("set timezone = 'Asia/Tokyo'")
        equal(conn.info.parameter_status("TimeZone"), "Asia/Tokyo")
        noon = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
        equal(conn.execute("select '2024-01-01 21:00'::timestamptz").fetchone()[0], noon)
        conn.execute("set datestyle = 'SQL, DMY'")
        equal(conn.info.parameter_status("DateStyle"), "SQL, DMY")
        equal(conn.execute("select '2024-12-31'::date::text").fetchone(), ("31/12/2024",))


@check
def temporary_tables_stay_with_their_connection():
    with connect(autocommit=True) as conn, connect(autocommit=True) as other:
        fresh_table(conn)
        insert(conn, 1)
        conn.execute("create temp table t (note text); insert into t values ('mine')")
        for _ in range(5):
            equal(conn.execute("select note from t").fetchone(), ("mine",))
            equal(ids(other), [1])
        raises(errors.UndefinedTable, "42P01", lambda: other.execute("select note from t"))
        conn.execute("drop table t")


@check
def sequences_and_returning():
    with connect(autocommit=True) as conn:
        serial = sql.Identifier(SCHEMA, "numbered")
        conn.execute(sql.SQL("create table {} (id bigserial, note text)").format(serial))
        for number in (1, 2, 3):
            row = conn.execute(sql.SQL("insert into {} (note) values ('x') returning id").format(serial)).fetchone()
            equal(row, (number,))
            equal(conn.execute("select lastval()").fetchone(), (number,))
        equal(conn.execute("select nextval(%s)", [f"{SCHEMA}.numbered_id_seq"]).fetchone(), (4,))


@check
def advisory_locks():
    with connect(autocommit=True) as one, connect(autocommit=True) as two:
        key = [abs(hash(SCHEMA)) % 2**31]
        equal(one.execute("select pg_try_advisory_lock(%s)", key).fetchone(), (True,))
        equal(two.execute("select pg_try_advisory_lock(%s)", key).fetchone(), (False,))
        equal(one.execute("select pg_advisory_unlock(%s)", key).fetchone(), (True,))
        equal(two.execute("select pg_try_advisory_lock(%s)", key).fetchone(), (True,))
        equal(two.execute("select pg_advisory_unlock(%s)", key).fetchone(), (True,))


@check
def read_after_write_on_another_connection_of_a_pool():
    with ConnectionPool(URL, min_size=4, max_size=4, kwargs={"autocommit": True}) as pool:
        with pool.connection() as conn:
            fresh_table(conn)
            conn.execute(sql.SQL("insert into {} values (1, '0')").format(T))
        select = sql.SQL("select name from {} where id = 1").format(T)
        for number in range(1, 201):
            with pool.connection() as writer, pool.connection() as reader:
                writer.execute(sql.SQL("update {} set name = %s where id = 1").format(T), [str(number)])
                equal(reader.execute(select).fetchone(), (str(number),), f"stale read at {number}")


@check
def many_threads_share_a_pool():
    problems = []
    with ConnectionPool(URL, min_size=8, max_size=8) as pool:
        with pool.connection() as conn:
            fresh_table(conn)

        def work(worker):
            try:
                for number in range(20):
                    key = worker * 100 + number
                    with pool.connection() as conn:
                        insert(conn, key)
                    with pool.connection() as conn:
                        query = sql.SQL("select id from {} where id = %s").format(T)
                        equal(conn.execute(query, [key]).fetchone(), (key,), "own write")
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=[worker]) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        with pool.connection() as conn:
            equal(len(ids(conn)), 160)


def main():
    with connect(autocommit=True) as conn:
        conn.execute(f"create schema {SCHEMA}")
    try:
        for function in CHECKS:
            try:
                function()
            except Exception as error:
                failed(function, error)
    finally:
        with connect(autocommit=True) as conn:
            conn.execute(f"drop schema {SCHEMA} cascade")
    done()


main()
