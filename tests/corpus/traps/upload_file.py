"""The file behind an upload blocks once it is on disk; the upload's own methods do not."""

import shutil
from pathlib import Path

from fastapi import FastAPI, UploadFile

app = FastAPI(max_body_size=1_000_000)


@app.post("/bad")
async def the_file(file: UploadFile) -> int:
    await file.seek(0)
    return len(file.file.read())  # expect: US106 loop


@app.post("/copy")
async def copied(file: UploadFile) -> None:
    await file.seek(0)
    with Path("copy").open("wb") as target:  # expect: US106 loop
        shutil.copyfileobj(file.file, target)  # expect: US106 loop


@app.post("/good")
async def the_upload(file: UploadFile) -> int:
    # clean: Starlette reads in a thread
    return len(await file.read())


@app.post("/endpoint")
def endpoint(file: UploadFile) -> int:
    # clean: a thread
    return len(file.file.read())
