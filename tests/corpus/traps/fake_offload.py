"""The hop is around what costs nothing; the loop does the waiting."""

import boto3
from fastapi import FastAPI
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

app = FastAPI()
s3 = boto3.client("s3")


@app.get("/bad")
async def hop_for_each_piece(key: str) -> list[object]:
    pieces = s3.get_paginator("list_objects_v2").paginate(Bucket=key)
    found = []
    for piece in pieces:  # expect: US110 loop
        found.append(await run_in_threadpool(lambda: piece))
    return found


@app.get("/argument")
async def argument_first(key: str) -> object:
    return await run_in_threadpool(print, s3.get_object(Bucket="b", Key=key))  # expect: US110 loop


@app.get("/good")
async def iterated_in_a_thread(key: str) -> list[object]:
    pieces = s3.get_paginator("list_objects_v2").paginate(Bucket=key)
    # clean: each `next` runs in a thread
    return [piece async for piece in iterate_in_threadpool(pieces)]
