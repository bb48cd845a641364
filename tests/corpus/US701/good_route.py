"""A limit for the route."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

# clean: its routes say
app = FastAPI()


class Order(BaseModel):
    name: str


@app.post("/orders", max_body_size=1000)
async def create(order: Order) -> str:
    await asyncio.sleep(0)
    return order.name
