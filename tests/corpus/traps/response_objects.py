"""Starlette moves what it can to threads."""

import asyncio
from io import StringIO

from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.staticfiles import StaticFiles

app = FastAPI()
# clean: served in threads
app.mount("/static", StaticFiles(directory="static"))


@app.get("/file")
async def file() -> FileResponse:
    # clean: opened and read in threads
    await asyncio.sleep(0)
    return FileResponse("large.bin")


@app.get("/text")
async def text() -> StreamingResponse:
    # clean: a plain iterator is iterated in threads
    await asyncio.sleep(0)
    return StreamingResponse(StringIO("a"))


@app.get("/json")
async def small() -> JSONResponse:
    # clean: a few bytes
    await asyncio.sleep(0)
    return JSONResponse({"a": 1})
