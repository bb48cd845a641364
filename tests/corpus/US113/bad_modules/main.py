"""Two calls away, in other modules."""

import asyncio

from fastapi import FastAPI

from .service import find

app = FastAPI()


@app.get("/items/{item}")
async def read(item: str) -> object:
    await asyncio.sleep(0)
    return find(item)
