"""A synchronous database call on the event loop."""

import asyncio
import sqlite3

import psycopg2
import pymongo
from fastapi import BackgroundTasks, Depends, FastAPI
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

engine = create_engine(
    "postgresql+psycopg2://db/app",
    pool_size=40,
    connect_args={"connect_timeout": 3, "options": "-c statement_timeout=5000"},
)
make_session = sessionmaker(engine)
OPTIONS = "-c statement_timeout=5000"
mongo = pymongo.MongoClient("mongodb://db", timeoutMS=2000)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    name: Mapped[str] = mapped_column(primary_key=True)


def get_session():
    session = make_session()
    try:
        yield session
    finally:
        session.close()


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    with make_session() as session:
        return session.execute(select(User).where(User.name == value)).first()  # expect: US103 loop


def helper(value: str) -> object:
    with engine.connect() as connection:  # expect: US103 loop
        return connection.execute(text('select 1')).all()  # expect: US103 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = sqlite3.connect('app.db')

    def load(self, value: str) -> object:
        return self.inner.execute('select 1').fetchone()  # expect: US103 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return mongo["app"]["users"].find_one({"name": value})  # expect: US103 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        with psycopg2.connect("dbname=app", connect_timeout=3, options=OPTIONS) as connection:  # expect: US103 loop
            connection.cursor().execute("insert into visits values (%s)", (value,))  # expect: US103 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    session = Session(engine)
    session.add(User(name=value))
    session.commit()  # expect: US103 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)


@app.get("/injected/{name}")
async def with_an_injected_session(name: str, session: Session = Depends(get_session)) -> object:
    await authorise()
    user = session.get(User, name)  # expect: US103 loop
    session.refresh(user)  # expect: US103 loop
    return user
