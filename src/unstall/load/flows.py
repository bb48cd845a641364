"""Flows written in Python: what one person does, step by step, with a client that is handed in.

    async def checkout(client):
        cart = await client.post("/carts", json={"article": client.random.randint(1, 100)})
        await client.post(f"/carts/{cart.json()['id']}/order")

Each arrival of the schedule starts one, however many are under way. An asynchronous generator does the same
and yields the name of each step when it is done, so that steps are counted on their own, too.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json as _json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import Any

from unstall.errors import UsageError
from unstall.load.answer import Reader
from unstall.load.connection import Connections, Exchange
from unstall.load.place import Place
from unstall.load.recipe import Recipe


class FlowError(Exception):
    """A request of a flow broke without an answer; `kind` says how."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(f"{what}: {kind}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of several with one name, all values with commas between."""
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return _json.loads(self.body)


class Client:
    """What a flow asks with. `number` is that of the arrival, from 0 on; `random` follows from the seed."""

    def __init__(
        self,
        place: Place,
        connections: Connections,
        *,
        scenario: str,
        number: int,
        seed: int,
        headers: Mapping[str, str],
    ) -> None:
        self.scenario = scenario
        self.number = number
        self.random = Random(f"{seed} {scenario} {number}")
        self.statuses: list[int] = []
        """Of all answers so far."""
        self._place = place
        self._connections = connections
        self._headers = headers
        self._seed = seed

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | str = b"",
        json: Any = None,
    ) -> Answer:
        """Raises FlowError if no answer comes, UsageError for what is no request."""
        given = {**self._headers, **(headers or {})}
        content = data.encode() if isinstance(data, str) else data
        if json is not None:
            content = _json.dumps(json).encode()
            if "content-type" not in {name.lower() for name in given}:
                given["Content-Type"] = "application/json"
        recipe = Recipe.of(
            self._place, name=self.scenario, method=method, path=path, headers=given, body=content,
            seed=self._seed + len(self.statuses), literal=True,
        )  # fmt: skip
        asked = _Asked(recipe, self.number, f"{method} {path}")
        self._connections.begin(asked)
        try:
            answer = await asked.answer
        except asyncio.CancelledError:
            asked.drop()
            raise
        self.statuses.append(answer.status)
        return answer

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.request("GET", path, **more)

    async def post(self, path: str, **more: Any) -> Answer:
        return await self.request("POST", path, **more)

    async def put(self, path: str, **more: Any) -> Answer:
        return await self.request("PUT", path, **more)

    async def patch(self, path: str, **more: Any) -> Answer:
        return await self.request("PATCH", path, **more)

    async def delete(self, path: str, **more: Any) -> Answer:
        return await self.request("DELETE", path, **more)


class _Asked(Exchange):
    __slots__ = ("_what", "answer")

    def __init__(self, recipe: Recipe, number: int, what: str) -> None:
        super().__init__(
            recipe(number), bodiless=recipe.bodiless, keep=True, repeatable=recipe.repeatable
        )
        self._what = what
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answered(self, reader: Reader) -> None:
        assert reader.head is not None
        if not self.answer.done():
            headers: dict[str, str] = {}
            for name, value in reader.head.fields:
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            self.answer.set_result(Answer(reader.head.status, headers, bytes(reader.body)))

    def failed(self, kind: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(FlowError(kind, self._what))

    def repeated(self) -> None:
        """It is the flow that is counted, and it waits for the answer."""


_NO_STEPS: tuple[str, ...] = ()
Flow = Callable[[Client], AsyncIterator[str]]
"""Yields the name of each step that is done."""


def flow_named(name: str, folder: Path | None = None) -> Flow:
    """`module:function`, looked for in `folder` first. Raises UsageError."""
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"call is {name!r}: name a function as in loads.checkout:buy")
    place = str((folder or Path()).resolve())
    if place not in sys.path:
        sys.path.insert(0, place)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # it is somebody's code
        raise UsageError(
            f"call is {name!r}, and {module_name} cannot be imported ({type(error).__name__}: {error}): "
            f"it is looked for in {place} first"
        ) from None
    function = getattr(module, attribute, None)
    if function is None:
        near = get_close_matches(attribute, dir(module), n=1)
        advice = f"did you mean {module_name}:{near[0]}?" if near else "name one that is there"
        raise UsageError(f"call is {name!r}, and {module_name} has no {attribute}; {advice}")
    if inspect.isasyncgenfunction(function):
        stepping: Flow = function
        return stepping
    if inspect.iscoroutinefunction(function):
        return _without_steps(function)
    raise UsageError(
        f"call is {name!r}, which is no asynchronous function: write async def {attribute}(client)"
    )


def _without_steps(function: Callable[[Client], Any]) -> Flow:
    async def flow(client: Client) -> AsyncIterator[str]:
        await function(client)
        for name in _NO_STEPS:
            yield name

    return flow
