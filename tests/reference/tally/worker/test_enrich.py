"""What an event tells without saying it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tally.ingest.normalise import fast
from tally.model import Event, event_of
from tally.settings import Limits
from tally.worker.enrich import enriched
from tests.reference.tally.events import text_of

CHROME = "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
EDGE = f"{CHROME} Edg/142.0.0.0"


def told(given: Event) -> dict[str, Any]:
    properties = enriched(given).properties
    assert isinstance(properties, dict)
    return properties


def event(**properties: Any) -> Event:
    return event_of(text_of(properties=properties), 1, datetime.now(UTC), Limits())


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (CHROME, "chrome"),
        (EDGE, "edge"),
        ("Mozilla/5.0 (iPhone) Version/18.0 Mobile Safari/604.1", "safari"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1) Chrome/142.0.0.0", "bot"),
        ("curl/8.7.1", "curl"),
    ],
)
def test_an_agent_has_a_family(agent: str, family: str) -> None:
    assert told(event(user_agent=agent))["agent_family"] == family


def test_an_agent_that_nobody_knows_has_none() -> None:
    given = event(user_agent="Lynx")
    assert enriched(given) is given


def test_where_it_came_from_and_by_which_campaign() -> None:
    found = told(
        event(
            referrer="https://www.example.com/a?b=c",
            url="https://shop.example/?utm_source=letter&utm_campaign=autumn&utm_medium=",
        )
    )
    assert found["referrer_host"] == "example.com"
    assert (found["utm_source"], found["utm_campaign"]) == ("letter", "autumn")
    assert "utm_medium" not in found


def test_what_the_sender_says_stays() -> None:
    given = event(user_agent=EDGE, agent_family="ours")
    assert enriched(given) is given


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"user_agent": 7, "referrer": None, "url": ["x"]},
        {"referrer": "https://[broken", "url": "http://[::1"},
        {"url": "https://x/?" + "&".join(f"a{n}=1" for n in range(60))},
    ],
)
def test_what_tells_nothing_changes_nothing(properties: dict[str, Any]) -> None:
    given = event(**properties)
    assert enriched(given) is given
    assert json.loads(text_of(properties=properties))["properties"] == properties


@pytest.mark.parametrize("said", ["agent-family", "Agent Family", " agent_family "])
def test_what_the_sender_says_stays_however_it_is_spelled(said: str) -> None:
    found = fast(enriched(event(**{said: "mine", "user_agent": CHROME})), 1)
    assert json.loads(found.properties)["agent_family"] == "mine"
