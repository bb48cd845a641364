"""Nothing takes a body."""

import asyncio

from fastapi import FastAPI

# clean: only GET
app = FastAPI()


@app.get("/")
async def read() -> str:
    await asyncio.sleep(0)
    return "ok"
