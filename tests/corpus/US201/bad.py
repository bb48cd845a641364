"""Hashing or key derivation on the event loop."""

import asyncio
import hashlib

import bcrypt
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import BackgroundTasks, Depends, FastAPI
from passlib.context import CryptContext
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

passwords = CryptContext(schemes=["bcrypt"])
STORED = b"$2b$12$"


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return bcrypt.checkpw(value.encode(), STORED)  # expect: US201 loop


def helper(value: str) -> object:
    return hashlib.pbkdf2_hmac("sha256", value.encode(), b"salt", 600_000).hex()  # expect: US201 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = PasswordHasher()

    def load(self, value: str) -> object:
        return self.inner.hash(value)  # expect: US201 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return passwords.verify(value, "$2b$12$")  # expect: US201 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        hashlib.scrypt(value.encode(), salt=b"salt", n=16384, r=8, p=1)  # expect: US201 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    print(value)
    rsa.generate_private_key(public_exponent=65537, key_size=4096)  # expect: US201 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)


@app.post("/tokens")
async def tokens(count: int) -> list[str]:
    await authorise()
    made = (hashlib.pbkdf2_hmac("sha256", bytes(each), b"salt", 1_000) for each in range(count))  # expect: US201 loop
    return [token.hex() for token in made]


@app.post("/named")
async def named(value: str, rounds: int) -> list[bytes]:
    await authorise()
    first = hashlib.pbkdf2_hmac("sha256", value.encode(), b"salt", rounds)  # expect: US201 loop
    return [first, hashlib.pbkdf2_hmac("sha256", first, b"salt", iterations=10_000)]  # expect: US201 loop
