"""Caches, brokers and queues: a synchronous call that is fast today, and its asynchronous twin."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import aio_pika
import aiokafka
import aiokafka.errors
import aiomcache
import aiomqtt
import confluent_kafka
import kafka
import kafka.errors
import nats
import paho.mqtt.client
import pika
import pymemcache
import valkey
import valkey.asyncio
import zmq
import zmq.asyncio

from benchmarks.cases.case import AT, Case, Group
from benchmarks.cases.network import address
from unstall.model.finding import Cause

kept = SimpleNamespace()


def keep_pymemcache() -> None:
    kept.memcached = pymemcache.Client(address(AT.memcached))
    kept.memcached.set("order", b"7")


def keep_valkey() -> None:
    host, port = address(AT.valkey)
    kept.valkey = valkey.Valkey(host=host, port=port)
    kept.valkey.ping()


def keep_pika() -> None:
    host, port = address(AT.amqp)
    kept.pika = pika.BlockingConnection(pika.ConnectionParameters(host, port))
    kept.channel = kept.pika.channel()
    kept.channel.confirm_delivery()


def keep_kafka() -> None:
    kept.kafka = kafka.KafkaProducer(
        bootstrap_servers=AT.dead, api_version=(2, 8), max_block_ms=5, reconnect_backoff_max_ms=10
    )


def keep_consumer() -> None:
    quiet = {"bootstrap.servers": AT.dead, "group.id": "shop", "log_level": 0}
    kept.consumer = confluent_kafka.Consumer(quiet)
    kept.consumer.subscribe(["orders"])


def keep_mqtt() -> None:
    kept.mqtt = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2)
    kept.mqtt.connect(*address(AT.mqtt))
    kept.mqtt.loop_start()


def keep_zmq() -> None:
    kept.zmq = zmq.Context.instance().socket(zmq.REQ)
    kept.zmq.connect(f"tcp://{AT.zmq}")


async def open_aiomcache() -> None:
    kept.memcached = aiomcache.Client(*address(AT.memcached))
    await kept.memcached.set(b"order", b"7")


async def open_valkey() -> None:
    host, port = address(AT.valkey)
    kept.valkey = valkey.asyncio.Valkey(host=host, port=port)
    await kept.valkey.ping()


async def open_aio_pika() -> None:
    kept.pika = await aio_pika.connect(f"amqp://{AT.amqp}/")
    kept.channel = await kept.pika.channel()


async def open_nats() -> None:
    kept.nats = await nats.connect(f"nats://{AT.nats}")


async def open_zmq() -> None:
    kept.zmq = zmq.asyncio.Context.instance().socket(zmq.REQ)
    kept.zmq.connect(f"tcp://{AT.zmq}")


# --- what blocks ------------------------------------------------------------------------------------


async def pymemcache_get() -> None:
    kept.memcached.get("order")  # stalls


async def valkey_get() -> None:
    kept.valkey.get("order")  # stalls


async def valkey_pipeline() -> None:
    pipeline = kept.valkey.pipeline()
    pipeline.set("order", 7)
    pipeline.execute()  # stalls


async def pika_publish() -> None:
    kept.channel.basic_publish("", "orders", b"7")  # stalls


async def pika_connect() -> None:
    host, port = address(AT.amqp)
    pika.BlockingConnection(pika.ConnectionParameters(host, port)).close()  # stalls


async def kafka_python_send() -> None:
    with suppress(kafka.errors.KafkaError):
        kept.kafka.send("orders", b"7")  # stalls


async def confluent_poll() -> None:
    kept.consumer.poll(0.002)  # stalls


async def paho_connect() -> None:
    client = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2)
    client.connect(*address(AT.mqtt))  # stalls


async def paho_wait_for_publish() -> None:
    kept.mqtt.publish("orders", b"7", qos=1).wait_for_publish(2)  # stalls


async def zmq_request() -> None:
    kept.zmq.send(b"7")
    kept.zmq.recv()  # stalls


# --- and what does not ------------------------------------------------------------------------------


async def aiomcache_get(item: int) -> None:
    await kept.memcached.get(b"order")


async def valkey_async(item: int) -> None:
    await kept.valkey.get("order")


async def aio_pika_publish(item: int) -> None:
    await kept.channel.default_exchange.publish(aio_pika.Message(b"7"), "orders")


async def aio_pika_connect(item: int) -> None:
    async with await aio_pika.connect(f"amqp://{AT.amqp}/") as connection:
        await connection.channel()


async def aiokafka_refused(item: int) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=AT.dead)
    with suppress(aiokafka.errors.KafkaConnectionError):
        await producer.start()
    await producer.stop()


async def confluent_in_a_thread(item: int) -> None:
    await asyncio.to_thread(kept.consumer.poll, 0.002)


async def aiomqtt_publish(item: int) -> None:
    host, port = address(AT.mqtt)
    async with aiomqtt.Client(host, port) as client:
        await client.publish("orders", b"7", qos=1)


async def nats_publish(item: int) -> None:
    await kept.nats.publish("orders", b"7")
    await kept.nats.flush()


async def zmq_async(item: int) -> None:
    await kept.zmq.send(b"7")
    await kept.zmq.recv()


async def zmq_without_waiting(item: int) -> None:
    with suppress(zmq.ZMQError):
        kept.zmq.recv(zmq.NOBLOCK)


_CACHE = (Group.LATENT, Cause.WAITING, "US104")
_BROKER = (Group.LATENT, Cause.WAITING, "US105")
_CLEAN = (Group.CLEAN,)
_AMQP, _MQTT, _VALKEY, _MEMCACHED, _ZMQ = (
    ("amqp",),
    ("mqtt",),
    ("valkey",),
    ("memcached",),
    ("zmq",),
)

CASES = (
    Case(pymemcache_get, *_CACHE, prepare=keep_pymemcache, needs=_MEMCACHED),
    Case(valkey_get, *_CACHE, prepare=keep_valkey, needs=_VALKEY),
    Case(valkey_pipeline, *_CACHE, prepare=keep_valkey, needs=_VALKEY),
    Case(pika_publish, *_BROKER, prepare=keep_pika, needs=_AMQP, quick=True),
    Case(pika_connect, *_BROKER, needs=_AMQP),
    Case(kafka_python_send, *_BROKER, prepare=keep_kafka),
    Case(confluent_poll, *_BROKER, prepare=keep_consumer),
    Case(paho_connect, *_BROKER, needs=_MQTT),
    Case(paho_wait_for_publish, *_BROKER, prepare=keep_mqtt, needs=_MQTT),
    Case(zmq_request, *_BROKER, prepare=keep_zmq, needs=_ZMQ, quick=True),
    Case(aiomcache_get, *_CLEAN, connect=open_aiomcache, needs=_MEMCACHED),
    Case(valkey_async, *_CLEAN, connect=open_valkey, needs=_VALKEY),
    Case(aio_pika_publish, *_CLEAN, connect=open_aio_pika, needs=_AMQP),
    Case(aio_pika_connect, *_CLEAN, needs=_AMQP),
    Case(aiokafka_refused, *_CLEAN),
    Case(confluent_in_a_thread, *_CLEAN, prepare=keep_consumer),
    Case(aiomqtt_publish, *_CLEAN, needs=_MQTT),
    Case(nats_publish, *_CLEAN, connect=open_nats, needs=("nats",)),
    Case(zmq_async, *_CLEAN, connect=open_zmq, needs=_ZMQ, quick=True),
    Case(zmq_without_waiting, *_CLEAN, prepare=keep_zmq, needs=_ZMQ),
)
