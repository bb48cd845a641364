"""Handlers that are put in place while modules are imported, but not by a line of the module itself."""

import logging
from logging.handlers import HTTPHandler, SMTPHandler, SocketHandler, SysLogHandler

from fastapi import FastAPI


class Journal:
    def __init__(self) -> None:
        self.log = logging.getLogger("journal")
        self.log.addHandler(SysLogHandler(("logs.internal", 514)))  # expect: US113 loop


class Settings:
    handler = SMTPHandler("mail.internal", "a@x", ["b@x"], "error")  # expect: US113 loop

    class Nested:
        handler = SocketHandler("logs.internal", 9020)  # expect: US113 loop


def configure() -> None:
    _add(logging.getLogger())


def _add(log: logging.Logger) -> None:
    log.addHandler(HTTPHandler("logs.internal", "/"))  # expect: US113 loop


journal = Journal()
configure()
app = FastAPI()


@app.get("/")
async def read() -> str:
    journal.log.info("read")
    return "ok"
