"""psycopg 3: transactions, session state, notifications, cancellation, pools."""

import threading
import time
from datetime import datetime, timezone

import psycopg
from psycopg import errors, sql
from psycopg_pool import ConnectionPool

from checks import SCHEMA, URL, check, equal
from psycopg_table import T, connect, fresh_table, ids, insert, raises


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
