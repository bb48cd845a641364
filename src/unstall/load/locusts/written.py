"""A locustfile for scenarios of a plan: the closed model of the same requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace

from unstall.errors import UsageError
from unstall.load.chance import key_of
from unstall.load.templates import Part, Scope, compiled, places, rendered
from unstall.model.plan import Example, Scenario

_FILE = '''\
"""Written by unstall from the scenarios of a plan. Weights are their shares of the plan's arrivals."""

import base64
import itertools
import json

from locust import FastHttpUser, between, task

SCENARIOS = json.loads(base64.b64decode("{data}"))


def asks(scenario):
    """A task for one scenario; all users take its examples in turn."""
    examples = itertools.cycle(scenario["examples"])

    def ask(self):
        example = next(examples)
        self.client.request(
            scenario["method"],
            example["path"],
            name=scenario["name"],
            headers=example["headers"],
            data=base64.b64decode(example["body"]) or None,
        )

    ask.__name__ = scenario["name"]
    return ask


class Planned(FastHttpUser):
    wait_time = between({low:g}, {high:g})
    connection_timeout = network_timeout = {timeout:g}
    tasks = {{asks(scenario): scenario["weight"] for scenario in SCENARIOS}}
'''
"""The plan's data stands in it as base64, so that nothing of it can be taken for code."""


def locustfile_of(
    scenarios: Sequence[Scenario],
    *,
    seed: int = 0,
    requests: int = 200,
    wait_s: tuple[float, float] = (1.0, 5.0),
) -> str:
    """The text of a locustfile.

    requests   so many of each scenario with templates are filled in, and asked in turn
    wait_s     between an answer and the next question of a user, at least and at most

    Raises `UsageError` for a scenario that Locust cannot send.
    """
    if not scenarios:
        raise UsageError(
            "there is neither a locustfile nor a scenario: name one with -f, or a plan"
        )
    for scenario in scenarios:
        if scenario.call:
            raise UsageError(
                f"scenario {scenario.name!r} is the function {scenario.call}, which Locust cannot send: "
                "write a locustfile, or leave out --engine locust"
            )
    data = [_described(scenario, requests, seed) for scenario in scenarios]
    return _FILE.format(
        data=base64.b64encode(json.dumps(data).encode()).decode(),
        low=wait_s[0],
        high=wait_s[1],
        timeout=max(scenario.timeout for scenario in scenarios),
    )


def _described(scenario: Scenario, requests: int, seed: int) -> dict[str, object]:
    return {
        "name": scenario.name,
        "method": scenario.method,
        "weight": _weight(scenario),
        "examples": [
            {
                "path": example.path,
                "headers": example.headers,
                "body": base64.b64encode(example.content).decode(),
            }
            for example in _ready(scenario, requests, seed)
        ],
    }


def _weight(scenario: Scenario) -> int:
    """By arrivals of the whole plan; Locust's weights are whole."""
    return max(1, round(sum(stage.rate * stage.seconds for stage in scenario.stages)))


def _ready(scenario: Scenario, requests: int, seed: int) -> list[Example]:
    """Templates with the data of so many requests; one is enough where nothing varies."""
    where = f"scenario {scenario.name!r}"
    used = 0

    def parts(text: str) -> tuple[Part, ...]:
        nonlocal used
        scope = Scope(scenario.name, key_of(seed, scenario.name), used)
        used += places(text)
        return compiled(text, scope, where)

    given = {"X-Scenario": scenario.name, **scenario.headers}
    fields = {name: parts(value) for name, value in given.items()}

    def headers(number: int) -> dict[str, str]:
        return {name: rendered(value, number).decode() for name, value in fields.items()}

    if scenario.examples:
        return [
            replace(each, headers={**each.headers, **headers(number)})
            for number, each in enumerate(scenario.examples)
        ]
    path, body = parts("/" + scenario.path.lstrip("/")), parts(scenario.body)
    return [
        Example(rendered(path, number).decode(), headers(number), rendered(body, number).decode())
        for number in range(requests if used else 1)
    ]
