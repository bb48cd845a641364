"""Handlers that nobody on the loop waits for."""

import logging
import queue
import sys
from logging.handlers import QueueHandler, QueueListener, SysLogHandler

from fastapi import FastAPI

log = logging.getLogger(__name__)
records: queue.Queue[logging.LogRecord] = queue.Queue(10_000)
# clean: it waits on the listener's thread
listener = QueueListener(records, SysLogHandler(("logs.internal", 514)))
# clean: putting a record takes microseconds
log.addHandler(QueueHandler(records))
# clean: standard error
log.addHandler(logging.StreamHandler(sys.stderr))
# clean: nothing at all
log.addHandler(logging.NullHandler())

app = FastAPI()


@app.get("/")
async def read() -> str:
    log.info("read")
    return "ok"
