"""Everything is awaited, and the hash is on the loop."""

import bcrypt
from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

engine = create_async_engine("sqlite+aiosqlite:///app.db")
make_session = async_sessionmaker(engine)
app = FastAPI()


async def get_session():
    async with make_session() as session:
        yield session


@app.post("/login")
async def login(word: str, session: AsyncSession = Depends(get_session)) -> bool:
    found = (await session.execute(text("select hash from users"))).scalar_one()
    return bcrypt.checkpw(word.encode(), found)  # expect: US201 loop


@app.post("/register")
async def register(word: str, session: AsyncSession = Depends(get_session)) -> None:
    hashed = bcrypt.hashpw(word.encode(), bcrypt.gensalt())  # expect: US201 loop
    await session.execute(text("insert into users values (:h)"), {"h": hashed})
    await session.commit()
