"""A synchronous message broker call on the event loop: what only looks like it."""

import asyncio

from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from fastapi import FastAPI

app = FastAPI()

producer = Producer({"bootstrap.servers": "mq:9092"})
async_producer = AIOKafkaProducer(bootstrap_servers="mq:9092")


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    producer.produce("orders", value)
    return producer.flush(2)


def helper(value: str) -> object:
    producer.produce("orders", value)
    return producer.flush(2)


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: an asynchronous producer
    await async_producer.send_and_wait('orders', value.encode())
    return value


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


if __name__ == "__main__":
    nightly("all")
