"""What sounds like files and is text; and a single `stat`, which is silent."""

import asyncio
import os
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()
ROOT = Path("data")


@app.get("/text")
async def text(name: str) -> list[str]:
    await asyncio.sleep(0)
    # clean: none of it asks the system for a file
    return [
        os.path.join("a", name),
        os.path.normpath(name),
        os.path.basename(name),
        os.path.relpath(name, "a"),
        os.path.splitext(name)[0],
        Path(name).name,
        (ROOT / name).suffix,
        str(ROOT.joinpath(name).with_name("b").parent),
    ]


@app.get("/stat")
async def one_stat(name: str) -> bool:
    await asyncio.sleep(0)
    # clean: microseconds
    return os.path.exists(name) and Path(name).is_file()
