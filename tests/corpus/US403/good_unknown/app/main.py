"""Nobody says how many workers there are."""

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

# clean: it is not guessed
engine = create_async_engine("postgresql+asyncpg://db/app", pool_size=20, max_overflow=20)
app = FastAPI()


@app.get("/")
async def read() -> str:
    async with engine.connect():
        return "ok"
