"""A limit in the proxy."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

# clean: nginx refuses
app = FastAPI()


class Order(BaseModel):
    name: str


@app.post("/orders")
async def create(order: Order) -> str:
    await asyncio.sleep(0)
    return order.name
