"""Eight workers of the default fifteen."""

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine("postgresql+asyncpg://db/app")  # expect: US403 start-up
app = FastAPI()


@app.get("/")
async def read() -> str:
    async with engine.connect():
        return "ok"
