"""In a thread for one, on the loop for the other: one finding, of the one on the loop."""

import sqlite3

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()


def verify() -> object:
    return sqlite3.connect("keys.db").execute("select 1").fetchone()  # expect: US103 loop


@app.get("/")
def read(key: object = Depends(verify)) -> object:
    # clean: FastAPI calls the dependency in a thread
    return key


class Guard:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        verify()
        await self.app(scope, receive, send)


app.add_middleware(Guard)
