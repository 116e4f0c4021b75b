"""psycopg 3: queries, prepared statements, pipelines, COPY, cursors, errors."""

from datetime import datetime, timezone
from decimal import Decimal

import psycopg
from psycopg import errors, sql
from psycopg.types.json import Jsonb

from checks import SCHEMA, check, equal
from psycopg_table import T, connect, fresh_table, ids, insert, raises


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
