"""The locustfile that is written from a plan, read without Locust."""

from __future__ import annotations

import base64
import sys
import types
from typing import Any

import pytest

from unstall.errors import UsageError
from unstall.load.locusts.written import locustfile_of
from unstall.model.plan import Example, Scenario, Stage


class Client:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def request(self, method: str, path: str, **more: Any) -> None:
        self.asked.append((method, path, more))


@pytest.fixture
def locust(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much of Locust as the file uses."""
    module: Any = types.ModuleType("locust")
    module.FastHttpUser = object
    module.between = lambda low, high: (low, high)
    module.task = lambda function: function
    monkeypatch.setitem(sys.modules, "locust", module)


def user(*scenarios: Scenario, **more: Any) -> Any:
    names: dict[str, Any] = {}
    exec(locustfile_of(scenarios, **more), names)
    return names["Planned"]


def asked(planned: Any, times: int = 1) -> list[tuple[str, str, dict[str, Any]]]:
    client = Client()
    self = types.SimpleNamespace(client=client)
    for task in planned.tasks:
        for _ in range(times):
            task(self)
    return client.asked


@pytest.mark.usefixtures("locust")
def test_scenarios_become_tasks_weighted_by_their_arrivals() -> None:
    planned = user(
        Scenario("read", path="/items", stages=(Stage(30, 10),), timeout=9),
        Scenario("write", "POST", "/items", body='{"a": 1}', stages=(Stage(5, 10), Stage(5, 10))),
        wait_s=(0.5, 2),
    )
    assert list(planned.tasks.values()) == [300, 100]
    assert planned.wait_time == (0.5, 2)
    assert planned.network_timeout == 30.0, "the longest of all"
    read, write = asked(planned)
    assert read[:2] == ("GET", "/items")
    assert (read[2]["name"], read[2]["data"]) == ("read", None)
    assert write[2]["data"] == b'{"a": 1}'
    assert write[2]["headers"] == {"X-Scenario": "write"}


@pytest.mark.usefixtures("locust")
def test_templates_are_filled_in_with_other_data_for_each_request() -> None:
    scenario = Scenario("one", path="/items/${seq}", headers={"X-Id": "${uuid}"}, body="${int:1:9}")
    made = asked(user(scenario, requests=3, seed=5), times=4)
    assert [path for _, path, _ in made] == ["/items/1", "/items/2", "/items/3", "/items/1"]
    assert len({more["headers"]["X-Id"] for _, _, more in made}) == 3
    assert made == asked(user(scenario, requests=3, seed=5), times=4)


@pytest.mark.usefixtures("locust")
def test_examples_are_sent_as_they_are() -> None:
    raw = b"\x00${seq}\xff"
    examples = (
        Example("/a?b=${c}", {"A": "1"}, '{"x": "${y}"}'),
        Example("/d", body=base64.b64encode(raw).decode(), base64=True),
    )
    first, second = asked(user(Scenario("s", "PUT", examples=examples)), times=2)
    assert first[1] == "/a?b=${c}"
    assert first[2]["data"] == b'{"x": "${y}"}'
    assert first[2]["headers"] == {"X-Scenario": "s", "A": "1"}
    assert second[2]["data"] == raw


@pytest.mark.usefixtures("locust")
def test_nothing_of_the_plan_is_taken_for_code() -> None:
    name = '"); raise SystemExit  # {weight} \\'
    (made,) = asked(user(Scenario(name, path="/x")))
    assert made[2]["name"] == name


@pytest.mark.parametrize(
    ("scenarios", "words"),
    [
        ((), "neither a locustfile nor a scenario"),
        (
            (Scenario("flow", call="flows:buy"),),
            "is the function flows:buy, which Locust cannot send",
        ),
    ],
)
def test_what_locust_cannot_send_is_refused(scenarios: tuple[Scenario, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        locustfile_of(scenarios)
