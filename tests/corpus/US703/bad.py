"""Collections of any length in bodies."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(max_body_size=1_000_000)


class Search(BaseModel):  # expect: US703 loop possible
    ids: list[int]
    query: str


class Labels(BaseModel):  # expect: US703 loop possible
    labels: dict[str, str] | None = None


class Base(BaseModel):
    name: str


class Tags(Base):  # expect: US703 thread pool possible
    tags: set[str]


@app.post("/search")
async def search(body: Search) -> int:
    await asyncio.sleep(0)
    return len(body.ids)


@app.put("/labels")
async def labels(body: Labels | None = None) -> None:
    await asyncio.sleep(0)


@app.patch("/tags")
def tags(body: Tags) -> int:
    return len(body.tags)
