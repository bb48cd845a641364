"""Two applications."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

# clean: it is below the other
inner = FastAPI()
app = FastAPI()  # expect: US701 loop
app.mount("/inner", inner)


class Order(BaseModel):
    name: str


@app.post("/orders")
async def create(order: Order) -> str:
    await asyncio.sleep(0)
    return order.name
