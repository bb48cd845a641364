"""Loops that the sender makes long."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(max_body_size=1_000_000)


class Batch(BaseModel):
    points: list[float]
    names: dict[str, str] = Field(default_factory=dict)


async def authorise() -> None:
    await asyncio.sleep(0)


@app.post("/comprehension")
async def comprehension(batch: Batch) -> list[float]:
    await authorise()
    return [abs(a - b) for a in batch.points for b in batch.points]  # expect: US207 loop


@app.post("/nested")
async def nested(batch: Batch) -> int:
    await authorise()
    found = 0
    for a in batch.points:  # expect: US207 loop
        for b in batch.points:
            found += a < b
    return found


@app.put("/list")
async def of_a_list(ids: list[int]) -> int:
    await authorise()
    return sum(a == b for a in ids for b in ids)  # expect: US207 loop


@app.post("/items")
async def of_a_dict(batch: Batch) -> int:
    await authorise()
    found = 0
    for name in batch.names.values():  # expect: US207 loop
        found += sum(name in other for other in batch.names.values())
    return found


@app.post("/enumerate")
async def enumerated(batch: Batch) -> int:
    await authorise()
    found = 0
    for number, a in enumerate(batch.points):  # expect: US207 loop
        for b in reversed(batch.points):
            found += a == b * number
    return found


@app.post("/single")
async def single(batch: Batch) -> float:
    await authorise()
    total = 0.0
    for point in batch.points:  # expect: US207 loop possible
        total += point
    return total
