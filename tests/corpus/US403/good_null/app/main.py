"""No pool."""

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

# clean: a bouncer pools
engine = create_async_engine("postgresql+asyncpg://db/app", poolclass=NullPool)
app = FastAPI()


@app.get("/")
async def read() -> str:
    async with engine.connect():
        return "ok"
