"""What is known of an event from what it says: its device, its campaign, where it came from.

Events of an import get it while they are loaded, when nobody waits. What the sender says itself is never
overwritten, and nothing is guessed: an agent that is not in the table has no family.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import UNSET

from tally.ingest.normalise import clean_key
from tally.model import Event

AGENTS = (
    # What stands in a user agent and the family it means; the first that is found counts, because
    # browsers claim to be those that came before them.
    ("bot", "bot"),
    ("curl/", "curl"),
    ("python-", "python"),
    ("okhttp", "android"),
    ("edg/", "edge"),
    ("opr/", "opera"),
    ("samsungbrowser/", "samsung"),
    ("firefox/", "firefox"),
    ("chrome/", "chrome"),
    ("crios/", "chrome"),
    ("safari/", "safari"),
)
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign")
LONGEST = 200


def enriched(event: Event) -> Event:
    """The event with what its properties tell: the same event if they tell nothing."""
    given = event.properties
    if given is UNSET:
        return event
    taken = set(map(clean_key, given))  # what becomes the same key was said by the sender
    told = {key: value for key, value in facts(given).items() if key not in taken}
    return msgspec.structs.replace(event, properties={**given, **told}) if told else event


def facts(properties: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    if agent := _text(properties, "user_agent"):
        found["agent_family"] = family(agent)
    if referrer := _text(properties, "referrer"):
        found["referrer_host"] = host(referrer)
    if url := _text(properties, "url"):
        found |= campaign(url)
    return {key: value for key, value in found.items() if value}


def family(agent: str) -> str:
    agent = agent.lower()
    return next((name for mark, name in AGENTS if mark in agent), "")


def host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")[:LONGEST]
    except ValueError:
        return ""


def campaign(url: str) -> dict[str, str]:
    try:
        query = parse_qs(urlsplit(url).query, max_num_fields=50)
    except ValueError:
        return {}
    return {key: query[key][0][:LONGEST] for key in CAMPAIGN if query.get(key)}


def _text(properties: Mapping[str, Any], key: str) -> str:
    value = properties.get(key)
    return value if isinstance(value, str) else ""
