"""Patterns that are linear, or nearly."""

import asyncio
import re

from fastapi import FastAPI

app = FastAPI()
# clean: each repetition ends with what cannot be in it
WORDS = re.compile(r"^(?:[a-z]+,)*$")


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/plain")
async def plain(value: str) -> bool:
    # clean: nothing is nested
    await authorise()
    return bool(re.match(r"^[a-z]+-[0-9]{4}$", value)) or bool(WORDS.match(value))


@app.get("/bounded")
async def bounded(value: str) -> bool:
    # clean: a few repetitions
    await authorise()
    return bool(re.match(r"^(a{1,3}){1,3}$", value))


@app.get("/endpoint")
def endpoint(value: str) -> bool:
    # clean: a thread pays for it, with the lock in its hand, which the watch shows
    return bool(re.match(r"^(a+)+$", value))


def nightly(value: str) -> bool:
    # clean: only the command line comes here
    return bool(re.match(r"^(b+)+$", value))


if __name__ == "__main__":
    nightly("b")
