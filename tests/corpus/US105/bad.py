"""A synchronous message broker call on the event loop."""

import asyncio

import pika
from confluent_kafka import Producer
from fastapi import BackgroundTasks, Depends, FastAPI
from kafka import KafkaProducer
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

connection = pika.BlockingConnection(pika.URLParameters("amqp://mq"))
channel = connection.channel()
producer = Producer({"bootstrap.servers": "mq:9092"})
kafka = KafkaProducer(bootstrap_servers="mq:9092")


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    channel.basic_publish("", "orders", value.encode())  # expect: US105 loop
    return value


def helper(value: str) -> object:
    producer.produce('orders', value)
    return producer.flush(2)  # expect: US105 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = pika.BlockingConnection(pika.URLParameters("amqp://mq")).channel()

    def load(self, value: str) -> object:
        return self.inner.queue_declare("orders")  # expect: US105 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return kafka.flush(timeout=2)  # expect: US105 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        connection.process_data_events(time_limit=1)  # expect: US105 loop
        print(value)
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    kafka.send('orders', value.encode()).get(timeout=2)  # expect: US105 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)
