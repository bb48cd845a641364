"""Data frames, numerics or inference on the event loop."""

import asyncio

import numpy as np
import pandas as pd
import torch
from fastapi import BackgroundTasks, Depends, FastAPI
from rapidfuzz import process
from sentence_transformers import SentenceTransformer
from starlette.types import ASGIApp, Receive, Scope, Send
from transformers import pipeline

app = FastAPI()

model = SentenceTransformer("m")
classify = pipeline("text-classification")


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return pd.read_csv(value).to_dict()  # expect: US204 loop


def helper(value: str) -> object:
    return model.encode([value])  # expect: US204 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = SentenceTransformer("m")

    def load(self, value: str) -> object:
        return self.inner.encode(value)  # expect: US204 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return classify(value)  # expect: US204 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        np.linalg.svd(np.ones((100, 100)))  # expect: US204 loop
        print(value)
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    torch.load(value)  # expect: US204 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)


@app.get("/like")
async def like(value: str, names: list[str]) -> object:
    await authorise()
    best = process.extractOne(value, names)  # expect: US204 loop
    near = [each for each in process.extract_iter(value, names)]  # expect: US204 loop
    return best, near, process.cdist(names, names)  # expect: US204 loop
