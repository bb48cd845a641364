"""Uploads with a limit."""

from fastapi import FastAPI, UploadFile

app = FastAPI(max_body_size=1_000_000)


@app.post("/")
async def upload(file: UploadFile) -> int:
    # clean: a megabyte at most
    return len(await file.read())
