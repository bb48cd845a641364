"""A middleware of their own."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

# clean: the middleware refuses
app = FastAPI()


class Limit:
    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        length = dict(scope.get("headers", ())).get(b"content-length")
        if length is None or int(length) < 1_000_000:
            await self.app(scope, receive, send)


app.add_middleware(Limit)


class Order(BaseModel):
    name: str


@app.post("/orders")
async def create(order: Order) -> str:
    await asyncio.sleep(0)
    return order.name
