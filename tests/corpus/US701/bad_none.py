"""None is no limit."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(max_body_size=None)  # expect: US701 loop


class Order(BaseModel):
    name: str


@app.post("/orders")
async def create(order: Order) -> str:
    await asyncio.sleep(0)
    return order.name
