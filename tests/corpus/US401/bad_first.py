"""Clients that are made for the first time, and then again."""

import requests
from fastapi import Depends, FastAPI

app = FastAPI()


class Answers:
    def __init__(self) -> None:  # expect: US301 thread pool
        self.known: object = None

    def all(self) -> object:
        if self.known is None:
            session = requests.Session()  # expect: US401 thread pool possible
            self.known = session.get("http://rates.internal", timeout=2).json()
        return self.known


@app.get("/answers")
def kept_by_an_object_of_the_request(answers: Answers = Depends(Answers)) -> object:
    return answers.all()


def rates() -> object:
    session = requests.Session()  # expect: US401 thread pool
    return session.get("http://rates.internal", timeout=2).json()


class Table:
    rates: object = None

    def load(self) -> object:
        if Table.rates is None:
            Table.rates = rates()
        return Table.rates


@app.get("/table")
def filled_once() -> object:
    return Table().load()


def fresh() -> object:
    return fresh_rates()


def fresh_rates() -> object:
    return rates()


@app.get("/fresh")
def made_again_a_longer_way() -> object:
    return fresh()


token: object = None


def token_or_ask(old: bool) -> object:
    global token
    if old:
        token = None
    if token is None:
        token = requests.Session().get("http://tokens.internal", timeout=2)  # expect: US401 thread pool
    return token


@app.get("/token")
def emptied_again(old: bool) -> object:
    return token_or_ask(old)
