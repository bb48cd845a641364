"""What is said of handlers that write where somebody logs."""

from __future__ import annotations

from pathlib import Path

from unstall.audit.audit import audit

MAIN = """\
import queue
from logging.handlers import QueueHandler
from fastapi import FastAPI
from loguru import logger
{handler}
logger.add("app.log")
app = FastAPI()
@app.get("/")
async def index():
    logger.info("asked")
"""


def remedies(root: Path, handler: str = "") -> list[str]:
    (root / "main.py").write_text(MAIN.replace("{handler}", handler))
    found = audit(root, only=frozenset({"US113"})).findings
    return [each.remedy.summary for each in found]


def test_loguru_is_told_to_write_on_a_thread_of_its_own(tmp_path: Path) -> None:
    (remedy,) = remedies(tmp_path)
    assert "enqueue=True" in remedy


def test_a_queue_of_logging_is_none_of_loguru(tmp_path: Path) -> None:
    assert len(remedies(tmp_path, "handler = QueueHandler(queue.Queue())")) == 1
