"""Four workers of forty."""

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine("postgresql+asyncpg://db/app", pool_size=20, max_overflow=20)  # expect: US403 start-up
app = FastAPI()


@app.get("/")
async def read() -> str:
    async with engine.connect():
        return "ok"
