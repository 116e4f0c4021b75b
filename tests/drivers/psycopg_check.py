"""psycopg 3 does what its users do with it, against the server at DATABASE_URL."""

import psycopg_queries  # noqa: F401  importing them adds their checks
import psycopg_sessions  # noqa: F401
from checks import CHECKS, SCHEMA, done, failed
from psycopg_table import connect


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
