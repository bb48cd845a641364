"""A synchronous mail, FTP, SSH or LDAP call on the event loop."""

import asyncio
import ftplib
import imaplib
import smtplib

import ldap3
import paramiko
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

ssh = paramiko.SSHClient()
mailbox = imaplib.IMAP4_SSL("mail.internal", timeout=5)


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    with smtplib.SMTP("mail.internal", timeout=5) as mail:  # expect: US111 loop
        mail.sendmail("a@x", "b@x", value)  # expect: US111 loop
    return value


def helper(value: str) -> object:
    with ftplib.FTP("files.internal", timeout=5) as ftp:  # expect: US111 loop
        return ftp.nlst(value)  # expect: US111 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = smtplib.SMTP("mail.internal", timeout=5)

    def load(self, value: str) -> object:
        return self.inner.send_message(value)  # expect: US111 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return mailbox.search(None, "ALL")  # expect: US111 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        ssh.connect("host", timeout=5)  # expect: US111 loop
        print(value)
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    connection = ldap3.Connection(ldap3.Server("ldap.internal", connect_timeout=3), receive_timeout=3)
    connection.bind()  # expect: US111 loop
    connection.search("dc=x", f"(uid={value})")  # expect: US111 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)
