"""Data frames, numerics or inference on the event loop: what only looks like it."""

import asyncio

import numpy as np
import pandas as pd
from fastapi import FastAPI
from rapidfuzz import fuzz

app = FastAPI()


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return pd.read_csv(value).to_dict()


def helper(value: str) -> object:
    return pd.read_csv(value).to_dict()


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: one number
    await asyncio.sleep(0)
    return float(np.float64(value or 0))


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


@app.get("/like")
async def like(value: str, other: str) -> object:
    # clean: one comparison
    await asyncio.sleep(0)
    return fuzz.ratio(value, other)


if __name__ == "__main__":
    nightly("all")
