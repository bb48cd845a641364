"""Handlers that no import and no request puts in place."""

import logging
from logging.handlers import HTTPHandler, SMTPHandler, SysLogHandler

from fastapi import FastAPI


class Journal:
    def __init__(self) -> None:
        # clean: nobody makes one
        logging.getLogger("journal").addHandler(SysLogHandler(("logs.internal", 514)))


def configure() -> None:
    # clean: nobody calls it
    logging.getLogger().addHandler(HTTPHandler("logs.internal", "/"))


def as_command() -> None:
    # clean: only the command line does
    logging.getLogger().addHandler(SMTPHandler("mail.internal", "a@x", ["b@x"], "error"))


app = FastAPI()


@app.get("/")
async def read() -> str:
    logging.getLogger().info("read")
    return "ok"


if __name__ == "__main__":
    as_command()
