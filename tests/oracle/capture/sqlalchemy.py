"""A shop in SQLAlchemy, through psycopg and asyncpg: tables made and reflected, loading strategies, the core's constructs."""

import asyncio
import os
import sys
from datetime import datetime, timedelta

# This file has the name of the library.
sys.path = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]

from sqlalchemy import (
    CheckConstraint, Computed, ForeignKey, Identity, Index, MetaData, Numeric, Sequence, String, and_, case,
    cast, create_engine, delete, exists, func, inspect, insert, lateral, literal, or_, select, text, true, tuple_,
    union_all, update, values, column, Integer,
)
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, UUID, aggregate_order_by, insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase, Mapped, Session, aliased, contains_eager, joinedload, mapped_column, relationship, selectinload,
    subqueryload,
)

URL = os.environ["DATABASE_URL"]


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), index=True)
    email: Mapped[str] = mapped_column(unique=True)
    tags: Mapped[list] = mapped_column(ARRAY(String), default=list)
    profile: Mapped[dict] = mapped_column(JSONB, default=dict)
    orders: Mapped[list["Order"]] = relationship(back_populates="customer", cascade="all, delete-orphan")


class Order(Base):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(Sequence("order_number", start=1000), primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    state: Mapped[str] = mapped_column(ENUM("new", "paid", "sent", name="order_state"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    key: Mapped[str] = mapped_column(UUID, server_default=func.gen_random_uuid())
    customer: Mapped[Customer] = relationship(back_populates="orders")
    lines: Mapped[list["Line"]] = relationship(back_populates="order", cascade="all, delete-orphan")
    __table_args__ = (Index("open_orders", "customer_id", postgresql_where=text("state = 'new'")),)


class Line(Base):
    __tablename__ = "line"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    item: Mapped[str]
    number: Mapped[int]
    price: Mapped[float] = mapped_column(Numeric(10, 2))
    total: Mapped[float] = mapped_column(Numeric(10, 2), Computed("number * price"))
    order: Mapped[Order] = relationship(back_populates="lines")
    __table_args__ = (CheckConstraint("number > 0"),)


class Part(Base):
    __tablename__ = "part"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("part.id"))
    children: Mapped[list["Part"]] = relationship()


def make(engine):
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    reflected = MetaData()
    reflected.reflect(engine)
    inspector = inspect(engine)
    inspector.get_schema_names(), inspector.get_view_names(), inspector.has_table("line")
    for table in inspector.get_table_names():
        inspector.get_columns(table), inspector.get_indexes(table), inspector.get_foreign_keys(table)
        inspector.get_unique_constraints(table), inspector.get_check_constraints(table)


def fill(engine):
    with Session(engine) as session:
        for n in range(10):
            customer = Customer(name=f"O'Hara {n}", email=f"c{n}@example.org", tags=["a", f"t{n % 3}"], profile={"n": n})
            session.add(customer)
            for m in range(n % 4):
                lines = [Line(item=f"item {k}", number=k + 1, price=1.5 * k) for k in range(m + 1)]
                customer.orders.append(Order(state=["new", "paid", "sent"][m % 3], lines=lines))
        session.add(Part(id=1, children=[Part(id=2, children=[Part(id=4)]), Part(id=3)]))
        session.commit()


def statements():
    """Constructs of the core, each a read."""
    c, o, l = Customer, Order, Line
    totals = select(l.order_id, func.sum(l.total).label("total")).group_by(l.order_id).cte("totals")
    tree = select(Part.id, literal(0).label("depth")).where(Part.parent_id.is_(None)).cte("tree", recursive=True)
    child = aliased(Part)
    tree = tree.union_all(select(child.id, tree.c.depth + 1).where(child.parent_id == tree.c.id))
    last = lateral(select(o.id).where(o.customer_id == c.id).order_by(o.id.desc()).limit(1)).alias("last")
    listed = values(column("a", Integer), column("b", String), name="listed").data([(1, "x"), (2, "y")])
    return [
        select(c.id, func.count(o.id)).join(o, isouter=True).group_by(c.id).having(func.count(o.id) > 1).order_by(c.id),
        select(o, totals.c.total).join(totals, totals.c.order_id == o.id).order_by(totals.c.total.desc()).limit(3),
        select(tree), select(c.name, last.c.id).join(last, true()), select(listed),
        select(c).where(c.tags.contains(["a"])), select(c).where(c.tags.any("t1")), select(c).where(c.profile["n"].as_integer() > 3),
        select(c).where(c.profile.has_key("n")), select(func.jsonb_object_agg(c.id, c.name)),
        select(o.state, func.array_agg(aggregate_order_by(o.id, o.id.desc()))).group_by(o.state),
        select(func.row_number().over(partition_by=o.state, order_by=o.id), func.lag(o.id).over(order_by=o.id)),
        select(case((o.state == "new", "open"), else_="done"), cast(o.id, String)).where(o.id.between(1000, 1010)),
        select(c).where(exists().where(o.customer_id == c.id, o.state == "new")), select(c).where(~c.orders.any()),
        select(c.id).where(c.name.ilike("%hara%")).union(select(o.id)).order_by("id").limit(5),
        union_all(select(literal(1)), select(literal(2))), select(c).where(tuple_(c.id, c.name).in_([(1, "O'Hara 0")])),
        select(c).where(or_(c.id.in_([1, 2, 3]), and_(c.name.is_not(None), c.email.like("c5%")))).offset(1),
        select(func.coalesce(func.max(l.price), 0), func.percentile_cont(0.5).within_group(l.price)).select_from(l),
        select(func.date_trunc("day", o.at).label("day"), func.count()).group_by("day"),
        select(func.generate_series(1, 3)), select(func.now(), func.current_schema()), select(func.random()),
        select(o).where(o.at > datetime.now() - timedelta(days=1)).distinct(o.customer_id).order_by(o.customer_id, o.id),
        select(func.grouping(o.state), func.count()).group_by(func.rollup(o.state)),
    ]


def read(engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements():
            connection.execute(statement).all()
        connection.execute(text("explain select * from customer")).all()
    with engine.connect().execution_options(stream_results=True, yield_per=2) as connection:
        connection.execute(select(Customer.id)).all()
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        for strategy in (joinedload, selectinload, subqueryload):
            session.scalars(select(Customer).options(strategy(Customer.orders).selectinload(Order.lines))).unique().all()
            session.expunge_all()
        session.scalars(select(Customer).join(Customer.orders).options(contains_eager(Customer.orders))).unique().all()
        session.get(Customer, 4).orders[0].lines
        session.expire_all()
        session.get(Customer, 4).name, session.scalar(select(func.count()).select_from(Line))
        session.query(Customer).filter_by(name="O'Hara 1").one_or_none()
        session.query(Customer).order_by(Customer.id).limit(2).all()


def write(engine):
    with Session(engine) as session:
        session.execute(update(Line).where(Line.number > 2).values(price=Line.price + 1).returning(Line.id)).all()
        session.scalars(select(Order).with_for_update(skip_locked=True).limit(1)).one()
        with session.begin_nested():
            session.execute(delete(Line).where(Line.number > 3))
        statement = upsert(Customer).values(name="again", email="c1@example.org", tags=[], profile={})
        session.execute(statement.on_conflict_do_update(index_elements=["email"], set_={"name": "again"}))
        session.execute(insert(Part), [{"id": n, "parent_id": 1} for n in range(10, 13)])
        session.execute(select(func.nextval("order_number")))
        session.delete(session.get(Customer, 3))
        session.commit()
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        connection.execute(select(Customer.id)).all()
        connection.commit()
    with engine.connect().execution_options(postgresql_readonly=True) as connection:
        connection.execute(select(Customer.id)).all()
        connection.commit()


async def asynchronously():
    engine = create_async_engine(URL.replace("postgresql:", "postgresql+asyncpg:"), isolation_level="AUTOCOMMIT")
    async with AsyncSession(engine) as session:
        for statement in statements():
            (await session.execute(statement)).all()
        (await session.scalars(select(Customer).options(selectinload(Customer.orders)))).all()
        session.add(Customer(name="async", email="async@example.org", tags=["z"], profile={"a": [1, 2]}))
        await session.commit()
    async with engine.connect() as connection:
        await connection.run_sync(lambda connection: MetaData().reflect(connection))
    await engine.dispose()


engine = create_engine(URL.replace("postgresql:", "postgresql+psycopg:"))
make(engine)
fill(engine)
read(engine)
write(engine)
asyncio.run(asynchronously())
engine.dispose()
