"""A synchronous cloud SDK call on the event loop."""

import asyncio
from typing import TYPE_CHECKING

import boto3
import docker
import openai
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from google.cloud import storage
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_s3 import S3Client
    from types_boto3_sqs.client import SQSClient

app = FastAPI()

s3 = boto3.client("s3")
dynamo = boto3.resource("dynamodb")
engine = docker.from_env(timeout=5)
llm = openai.OpenAI(timeout=20)
buckets = storage.Client()


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return s3.get_object(Bucket="files", Key=value)  # expect: US110 loop


def helper(value: str) -> object:
    return dynamo.Table("users").get_item(Key={"id": value})  # expect: US110 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = boto3.client("sqs")

    def load(self, value: str) -> object:
        return self.inner.send_message(QueueUrl="q", MessageBody=value)  # expect: US110 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return llm.chat.completions.create(model="m", messages=[{"role": "user", "content": value}])  # expect: US110 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        engine.containers.get(value)  # expect: US110 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    buckets.bucket("files").blob("seen").upload_from_string(value)  # expect: US110 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)


@app.get("/pages")
async def lazily(prefix: str = "") -> object:
    await authorise()
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="files", Prefix=prefix):  # expect: US110 loop
        found += page.get("Contents", [])
    return found


async def client_of(request: Request) -> "S3Client":
    await authorise()
    return request.app.state.client


@app.put("/typed")
async def typed(value: str, client: "S3Client" = Depends(client_of)) -> object:
    await authorise()
    return client.put_object(Bucket="files", Key=value)  # expect: US110 loop


class Store:
    def __init__(self, queue: "SQSClient", table: "Table") -> None:
        self.queue, self.table = queue, table

    def keep(self, value: str) -> None:
        self.queue.send_message(QueueUrl="q", MessageBody=value)  # expect: US110 loop
        self.table.put_item(Item={"value": value})  # expect: US110 loop


async def store(request: Request) -> Store:
    await authorise()
    return request.app.state.store


@app.put("/stored")
async def stored(value: str, kept: Store = Depends(store)) -> None:
    await authorise()
    kept.keep(value)
