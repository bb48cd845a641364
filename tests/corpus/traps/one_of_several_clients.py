"""One client of several: whichever it is, what it is called with blocks, or does not."""

import itertools
import random
import secrets
from collections import deque

import httpx
from fastapi import FastAPI

app = FastAPI()
URLS = ["http://one.internal", "http://two.internal"]
clients = [httpx.Client(base_url=url) for url in URLS]
ready = [httpx.AsyncClient(base_url=url) for url in URLS]


class Ring:
    def __init__(self) -> None:
        self._clients = itertools.cycle(clients)
        self._ready = itertools.cycle(ready)
        self._waiting = deque(clients)

    def next(self) -> str:
        return next(self._clients).get("/").text  # expect: US102 loop

    async def next_ready(self) -> str:
        answer = await next(self._ready).get("/")  # clean: this client is asynchronous
        return answer.text

    def rotate(self) -> str:
        client = self._waiting.popleft()
        self._waiting.append(client)
        return client.get("/").text  # expect: US102 loop


ring = Ring()


@app.get("/ring")
async def from_the_ring() -> str:
    await ring.next_ready()
    ring.rotate()
    return ring.next()


@app.get("/dice")
async def by_dice() -> str:
    random.choice(clients).get("/")  # expect: US102 loop
    secrets.choice(clients).get("/")  # expect: US102 loop
    for client in random.sample(clients, 2):
        client.get("/")  # expect: US102 loop
    for client in itertools.islice(clients, 1):
        client.get("/")  # expect: US102 loop
    await random.choice(ready).get("/")  # clean: this client is asynchronous
    return "ok"


@app.get("/thread")
def in_a_thread() -> str:
    return random.choice(clients).get("/").text  # clean: a plain route runs in a thread
