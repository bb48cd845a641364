"""Uploads in memory."""

from typing import Annotated

from fastapi import Depends, FastAPI, File, UploadFile

app = FastAPI()  # expect: US701 loop


@app.post("/direct")
async def direct(file: UploadFile) -> int:
    return len(await file.read())  # expect: US702 loop


async def size(file: UploadFile) -> int:
    data = await file.read(-1)  # expect: US702 loop
    return len(data)


@app.post("/helper")
async def behind_a_helper(file: Annotated[UploadFile, File()]) -> int:
    return await size(file)


@app.post("/endpoint")
def endpoint(file: UploadFile) -> int:
    return len(file.file.read())  # expect: US702 thread pool


async def content(file: UploadFile) -> bytes:
    return await file.read()  # expect: US702 loop


@app.post("/dependency")
async def with_a_dependency(data: bytes = Depends(content)) -> int:
    return len(data)
