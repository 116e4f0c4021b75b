"""Orders in SQLAlchemy on psycopg, through Tidegate: each is written, then read at once on another connection."""

import os
import sys
import time
from collections import Counter

from sqlalchemy import create_engine, make_url, select
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

ROUNDS = 20
# How long to wait for replicas to be up to date, in seconds.
PATIENCE = 20

url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")

# What must hold together runs in transactions, as usual. They go to the primary.
engine = create_engine(url)
# Reads on their own, without a BEGIN before each: these can go to replicas. An app would write
# engine.execution_options(isolation_level="AUTOCOMMIT"), which shares the pool; two pools make sure here that the read
# takes another connection than the write.
reads = create_engine(url, isolation_level="AUTOCOMMIT")
# Reads that must be of one moment: psycopg begins these transactions READ ONLY, and they can go to a replica as a whole.
reports = engine.execution_options(postgresql_readonly=True)


class Base(DeclarativeBase):
    """What all models have in common."""


class Order(Base):
    """Something that was ordered."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


def route(session):
    """Where the last statement of this session went, and why."""
    try:
        return session.connection().exec_driver_sql("SHOW tidegate.last_route").scalars().first()
    except ProgrammingError as error:
        if error.orig.sqlstate == "42704":
            return "to: PostgreSQL itself, no Tidegate here"
        raise


def role(said):
    """`replica` or `primary`, out of `to: replica pg2:5432, reason fresh`."""
    return said.split()[1]


def find(item):
    """The order of this item, and where that was read."""
    with Session(reads) as session:
        order = session.scalar(select(Order).where(Order.item == item))
        return order, route(session)


def place(item):
    """Orders an item."""
    with Session(engine) as session:
        session.add(Order(item=item))
        session.commit()


def main():
    Base.metadata.create_all(engine)
    stale, at_once, later = 0, Counter(), Counter()
    for number in range(ROUNDS):
        item = f"{os.getpid()}-{number}"
        place(item)
        order, said = find(item)
        stale += order is None
        at_once[role(said)] += 1

    deadline = time.monotonic() + PATIENCE
    while later["replica"] < ROUNDS and later["PostgreSQL"] < ROUNDS and time.monotonic() < deadline:
        _, said = find(item)
        later[role(said)] += 1
        time.sleep(0.01)

    with Session(reports) as session:
        session.scalars(select(Order)).all()
        report = route(session)

    print(f"{ROUNDS} orders, each read at once on another connection: {stale} not seen")
    print(f"those reads: primary {at_once['primary']}, replica {at_once['replica']}")
    print(f"reads while nobody writes: primary {later['primary']}, replica {later['replica']}")
    print(f"the last of them: {said}")
    print(f"a READ ONLY transaction: {report}")
    sys.exit(1 if stale else 0)


main()
