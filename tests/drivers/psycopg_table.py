"""A connection, and the table that the psycopg checks work on."""

import psycopg
from psycopg import sql

from checks import SCHEMA, URL, equal

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
