"""Collections with a bound, or not from outside."""

import asyncio
from enum import StrEnum
from typing import Annotated, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field, conlist, field_validator

app = FastAPI(max_body_size=1_000_000)


class Kind(StrEnum):
    A = "a"
    B = "b"


class Search(BaseModel):
    # clean: two hundred at most
    ids: Annotated[list[int], Field(max_length=200)]
    names: list[str] = Field(default_factory=list, max_length=10)
    pairs: conlist(int, max_length=3)
    size: tuple[int, int]
    kinds: set[Kind]
    sides: dict[Literal["w", "h"], int]


class Checked(BaseModel):
    # clean: the validator looks
    ids: list[int]

    @field_validator("ids")
    @classmethod
    def few(cls, ids: list[int]) -> list[int]:
        if len(ids) > 10:
            raise ValueError("too many")
        return ids


class Found(BaseModel):
    # clean: what we send
    items: list[str]


@app.post("/search", response_model=Found)
async def search(body: Search, also: Checked) -> Found:
    await asyncio.sleep(0)
    return Found(items=[*map(str, body.ids), *map(str, also.ids)])
