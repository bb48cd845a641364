"""A limit for all."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

# clean: a megabyte
app = FastAPI(max_body_size=1_000_000)


class Order(BaseModel):
    name: str


@app.post("/orders")
async def create(order: Order) -> str:
    await asyncio.sleep(0)
    return order.name
