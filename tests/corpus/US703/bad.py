"""Collections of any length in bodies."""

import asyncio
from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(max_body_size=1_000_000)


class Search(BaseModel):  # expect: US703 loop possible
    ids: list[int]
    query: str


class Labels(BaseModel):  # expect: US703 loop possible
    labels: dict[str, str] | None = None


class Texts(BaseModel):  # expect: US703 loop possible
    texts: list[Annotated[str, Field(max_length=3)]]


class Base(BaseModel):
    name: str


class Tags(Base):  # expect: US703 thread pool possible
    tags: set[str]


@app.post("/search")
async def search(body: Search) -> int:
    await asyncio.sleep(0)
    return len(body.ids)


@app.post("/texts")
async def texts(body: Texts) -> int:
    await asyncio.sleep(0)
    return len(body.texts)


@app.put("/labels")
async def labels(body: Labels | None = None) -> None:
    await asyncio.sleep(0)


@app.patch("/tags")
def tags(body: Tags) -> int:
    return len(body.tags)
