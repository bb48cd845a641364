"""A synchronous mail, FTP, SSH or LDAP call on the event loop: what only looks like it."""

import asyncio
import smtplib
from email.message import EmailMessage

import aiosmtplib
from fastapi import FastAPI

app = FastAPI()


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    with smtplib.SMTP("mail.internal", timeout=5) as mail:
        return mail.noop()


def helper(value: str) -> object:
    with smtplib.SMTP("mail.internal", timeout=5) as mail:
        return mail.noop()


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: an asynchronous client
    return await aiosmtplib.send(EmailMessage(), hostname="mail.internal", timeout=5)


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


if __name__ == "__main__":
    nightly("all")
