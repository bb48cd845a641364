"""Middleware that makes a task of each request."""

from fastapi import FastAPI, Request, Response
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint


class Header(BaseHTTPMiddleware):  # expect: US801 loop
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-served-by"] = "a"
        return response


class Listed(BaseHTTPMiddleware):  # expect: US801 loop
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


app = FastAPI(middleware=[Middleware(Listed)])
app.add_middleware(Header)


@app.middleware("http")  # expect: US801 loop
async def decorated(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


@app.get("/")
async def read() -> str:
    return "ok"
