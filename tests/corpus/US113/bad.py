"""Handlers that wait for others, under loggers that the loop uses."""

import logging
import logging.handlers
from logging import config
from logging.handlers import HTTPHandler, SMTPHandler

from fastapi import FastAPI

log = logging.getLogger(__name__)
log.addHandler(logging.handlers.SysLogHandler(("logs.internal", 514)))  # expect: US113 loop
log.addHandler(HTTPHandler("logs.internal", "/"))  # expect: US113 loop

config.dictConfig(
    {
        "version": 1,
        "handlers": {
            "away": {
                "class": "logging.handlers.SocketHandler",  # expect: US113 loop
                "host": "logs.internal",
                "port": 9020,
            },
            "mail": {
                "class": "logging.handlers.SMTPHandler",  # expect: US113 loop
                "mailhost": "mail.internal",
            },
        },
    }
)


def configure() -> None:
    log.addHandler(SMTPHandler("mail.internal", "a@x", ["b@x"], "error"))  # expect: US113 loop
    disk = logging.handlers.RotatingFileHandler("app.log", maxBytes=1_000_000)  # expect: US113 loop possible
    log.addHandler(disk)


app = FastAPI(on_startup=[configure])


@app.get("/")
async def read() -> str:
    log.info("read")
    return "ok"
