"""Middleware that costs a call."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send


class Plain:
    # clean: plain ASGI
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Unused(BaseHTTPMiddleware):
    # clean: nobody adds it
    async def dispatch(self, request, call_next):
        return await call_next(request)


app = FastAPI()
app.add_middleware(Plain)
# clean: Starlette's own are plain ASGI
app.add_middleware(CORSMiddleware)


@app.get("/")
async def read() -> str:
    return "ok"
