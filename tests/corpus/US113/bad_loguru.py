"""Files that loguru writes in the thread that logs."""

import os
from pathlib import Path

from fastapi import FastAPI
from loguru import logger

FOLDER = Path("logs")


def configure(file: str | None = None) -> None:
    logger.remove()
    logger.add("app.log")  # expect: US113 loop possible
    logger.add(FOLDER / "debug.log", level="DEBUG")  # expect: US113 loop possible
    logger.add(sink=os.path.join("logs", "all.log"), enqueue=False)  # expect: US113 loop possible
    logger.add(file, rotation="100 MB", retention="3 months")  # expect: US113 loop possible


configure()
app = FastAPI()


@app.get("/")
async def read() -> str:
    logger.info("read")
    return "ok"
