"""`upload.file.read()` on the loop, mended: UploadFile's own methods read in a thread once it lies on disk."""

from typing import Annotated

from fastapi import FastAPI, File, UploadFile

app = FastAPI(max_body_size=1_000_000)
PAGE = 64 * 1024


@app.post("/direct")
async def direct(file: UploadFile) -> int:
    return len(await file.read(PAGE))  # clean: awaited, and a page at a time


async def size(file: UploadFile) -> int:
    total = 0
    while page := await file.read(PAGE):  # clean: so is each page of a loop
        total += len(page)
    return total


@app.post("/helper")
async def behind_a_helper(file: Annotated[UploadFile, File()]) -> int:
    return await size(file)
