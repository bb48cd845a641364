"""Uploads in pieces, or of a known size."""

from fastapi import FastAPI, HTTPException, UploadFile

app = FastAPI()  # expect: US701 loop


@app.post("/pieces")
async def pieces(file: UploadFile) -> int:
    # clean: a megabyte at a time
    size = 0
    while piece := await file.read(1 << 20):
        size += len(piece)
    return size


@app.post("/known")
async def known(file: UploadFile) -> int:
    # clean: its size is looked at first
    if file.size is None or file.size > 1_000_000:
        raise HTTPException(413)
    return len(await file.read())


@app.post("/head")
def head(file: UploadFile) -> bytes:
    # clean: sixteen bytes
    return file.file.read(16)
