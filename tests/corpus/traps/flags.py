"""Whether a branch runs depends on what the caller passes: its constants and the defaults are believed."""

import asyncio
import json
import os
import time
from functools import partial

from fastapi import FastAPI
from providers import load_all

app = FastAPI()


async def authorise() -> None:
    await asyncio.sleep(0)


def by_name(wait: bool = False) -> None:
    if wait:
        time.sleep(1)  # expect: US101 loop


def by_place(number: int, wait: bool) -> None:
    if number and not wait:
        return
    time.sleep(2)  # expect: US101 loop


def inner(wait: bool) -> None:
    if wait:
        time.sleep(3)  # expect: US101 loop


def handed_on(wait: bool) -> None:
    inner(wait)


class Keeper:
    def __init__(self, warm: bool = False) -> None:
        if warm:
            time.sleep(4)  # expect: US101 loop

    def load(self, wait: bool = False) -> None:
        if wait:
            time.sleep(5)  # expect: US101 loop


@app.get("/passed")
async def passed() -> None:
    await authorise()
    by_name(wait=True)
    by_place(1, True)
    handed_on(True)
    Keeper(warm=True).load(True)


def said_by_nobody(wait: bool = False) -> None:
    if wait:
        # clean: no call passes anything true
        time.sleep(6)


def always_quick(quick: bool) -> None:
    if quick:
        return
    # clean: each call passes something true
    time.sleep(7)


def inner_quick(wait: bool) -> None:
    if wait:
        # clean: who hands it on was passed something false
        time.sleep(8)


def handed_on_quick(wait: bool) -> None:
    inner_quick(wait)


class Quick:
    def __init__(self, warm: bool = False) -> None:
        if warm:
            # clean: made without it
            time.sleep(9)


@app.get("/quick")
async def quick(number: int) -> None:
    await authorise()
    said_by_nobody(False)
    said_by_nobody(wait=0)
    always_quick(True)
    handed_on_quick(False)
    Quick()


def decides_itself(wait: bool = False) -> None:
    wait = wait or os.environ.get("WAIT") == "1"
    if wait:
        time.sleep(10)  # expect: US101 loop


def unpacked(wait: bool = False) -> None:
    if wait:
        time.sleep(11)  # expect: US101 loop


def filled_in(wait: bool = False) -> None:
    if wait:
        time.sleep(12)  # expect: US101 loop


def asked(wait: bool = False) -> None:
    if wait:
        time.sleep(13)  # expect: US101 loop


class Provider:
    def ask(self, stream: bool = False) -> None:
        if stream:
            time.sleep(14)  # expect: US101 loop


def tried_again(attempt: int) -> None:
    while attempt < 3:
        if attempt:
            time.sleep(15)  # expect: US101 loop
        attempt += 1


def set_inside(wait: bool = False) -> None:
    def begin() -> None:
        nonlocal wait
        wait = True

    begin()
    if wait:
        time.sleep(16)  # expect: US101 loop


class Store:
    def keep(self, wait: bool = False) -> None:
        if wait:
            time.sleep(17)  # expect: US101 loop

    @staticmethod
    def load(wait: bool = False) -> None:
        if wait:
            time.sleep(18)  # expect: US101 loop

    def drop(self, wait: bool = False) -> None:
        if wait:
            # clean: who cannot be told passes nothing true
            time.sleep(19)

    def say(self, wait: bool = False) -> None:
        wait |= bool(os.environ.get("WAIT"))
        if wait:
            time.sleep(20)  # expect: US101 loop


waiting = partial(filled_in, True)
providers = load_all()


@app.get("/unknown")
async def not_known(wait: bool, options: str) -> None:
    await authorise()
    decides_itself()
    unpacked(**json.loads(options))
    waiting()
    asked(wait)
    Provider().ask()
    providers[options].ask(stream=True)
    tried_again(0)
    set_inside()
    Store().keep()
    providers[options].keep(**json.loads(options))
    Store.load()
    providers[options].load(True)
    Store().drop()
    providers[options].drop(wait=False)
    Store().say()
