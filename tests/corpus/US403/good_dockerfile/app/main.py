"""Four workers of ten."""

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

# clean: forty connections
engine = create_async_engine("postgresql+asyncpg://db/app", pool_size=5, max_overflow=5)
app = FastAPI()


@app.get("/")
async def read() -> str:
    async with engine.connect():
        return "ok"
