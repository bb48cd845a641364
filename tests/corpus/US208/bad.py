"""All rows, as they are."""

import asyncio
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("sqlite+aiosqlite:///app.db")
make_session = async_sessionmaker(engine)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


async def get_session() -> Any:
    async with make_session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


@app.get("/orders")
async def orders(session: SessionDep):
    return (await session.scalars(select(Order))).all()  # expect: US208 loop possible


@app.get("/rows")
async def rows(session: SessionDep):
    result = await session.execute(text("select * from orders"))
    return [dict(row) for row in result.fetchall()]  # expect: US208 loop possible


@app.get("/mappings")
async def mappings(session: SessionDep):
    result = await session.execute(select(Order))
    await asyncio.sleep(0)
    return result.scalars().all()  # expect: US208 loop possible


@app.get("/listed")
async def listed(session: SessionDep):
    return list((await session.scalars(select(Order))).all())  # expect: US208 loop possible


@app.get("/tags")
async def tags(session: SessionDep):
    found = await session.scalars(select(Order.id).distinct())
    return found.all()  # expect: US208 loop possible


@app.get("/unique")
async def unique(session: SessionDep):
    found = await session.scalars(select(Order))
    return found.unique().all()  # expect: US208 loop possible
