"""Responses that are bounded, or typed."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import select
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


class OrderOut(BaseModel):
    id: int


async def get_session() -> Any:
    async with make_session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


@app.get("/page")
async def page(session: SessionDep, after: int = 0):
    # clean: a page
    query = select(Order).where(Order.id > after).limit(50)
    return (await session.scalars(query)).all()


@app.get("/typed", response_model=list[OrderOut])
async def typed(session: SessionDep):
    # clean: it has a model
    return (await session.scalars(select(Order))).all()


@app.get("/one")
async def one(session: SessionDep):
    # clean: one row
    return (await session.scalars(select(Order))).first()


@app.get("/returns")
async def returns(session: SessionDep) -> list[OrderOut]:
    # clean: its annotation is the model
    return list((await session.scalars(select(Order))).all())
