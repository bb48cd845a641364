"""A function that passes its argument to a known offloader is one, too."""

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import boto3
from fastapi import FastAPI

T = TypeVar("T")
app = FastAPI()
s3 = boto3.client("s3")


async def run_async(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    bound = functools.partial(function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(None, bound)


def upload(key: str) -> None:
    s3.put_object(Bucket="b", Key=key)


@app.post("/helper")
async def by_a_helper(key: str) -> None:
    # clean: it runs in a thread
    await run_async(upload, key)


@app.post("/lambda")
async def by_a_lambda(key: str) -> None:
    # clean: it runs in a thread
    await run_async(lambda: s3.put_object(Bucket="b", Key=key))


@app.post("/thread")
async def by_a_thread(key: str) -> None:
    # clean: a thread of its own
    threading.Thread(target=upload, args=(key,), daemon=True).start()
    await asyncio.sleep(0)


@app.post("/bad")
async def on_the_loop(key: str) -> None:
    await asyncio.sleep(0)
    s3.put_object(Bucket="b", Key=key)  # expect: US110 loop
