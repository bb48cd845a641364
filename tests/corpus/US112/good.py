"""Imports that no request pays for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import networkx
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # clean: nobody waits for start-up
    import spacy

    app.state.spacy = spacy
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/again")
async def again() -> str:
    # clean: it is imported at the top as well
    await asyncio.sleep(0)
    import networkx.algorithms

    return str(networkx.algorithms)


@app.get("/light")
async def light() -> str:
    # clean: it is small
    await asyncio.sleep(0)
    import textwrap

    return textwrap.dedent("a")


@app.get("/endpoint")
def endpoint() -> str:
    # clean: a plain def imports in a thread
    import matplotlib.pyplot

    return str(matplotlib.pyplot)


def nightly() -> None:
    # clean: only the command line comes here
    import polars

    print(polars, networkx)


if __name__ == "__main__":
    nightly()
