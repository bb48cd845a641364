"""A synchronous cloud SDK call on the event loop: what only looks like it."""

import asyncio
from typing import TYPE_CHECKING

import boto3
import openai
from fastapi import Depends, FastAPI, Request

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

app = FastAPI()

s3 = boto3.client("s3")
llm = openai.AsyncOpenAI(timeout=20)


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return s3.get_object(Bucket="files", Key=value)


def helper(value: str) -> object:
    return s3.get_object(Bucket="files", Key=value)


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: the SDK's asynchronous client
    return await llm.chat.completions.create(model="m", messages=[{"role": "user", "content": value}])


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


@app.get("/link")
async def link(value: str = "") -> str:
    # clean: signing computes a little, and asks nobody
    return s3.generate_presigned_url("get_object", Params={"Bucket": "files", "Key": value})


class Store:
    def __init__(self, client: "S3Client") -> None:
        self.client = client

    async def keep(self, value: str) -> object:
        # clean: stubs of aiobotocore name clients whose methods are awaited
        call = self.client.put_object(Bucket="files", Key=value)
        return await call


async def store(request: Request) -> Store:
    await asyncio.sleep(0)
    return request.app.state.store


@app.put("/stored")
async def stored(value: str, kept: Store = Depends(store)) -> object:
    return await kept.keep(value)


if __name__ == "__main__":
    nightly("all")
