"""What a program reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.report.examples import CHARGE, CLEAN, FOUND, NOTHING, STARVED
from tests.report.sources import READ
from unstall.report.json import document_of, finding_of, render

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "report-json.md"


def test_a_finding_has_exactly_the_keys_of_the_format_in_its_order() -> None:
    assert finding_of(CHARGE) == {
        "code": "US102",
        "title": "a synchronous HTTP call on the event loop",
        "severity": "error",
        "confidence": "certain",
        "entry": {"kind": "route", "name": "POST /orders", "function": "shop.orders:create"},
        "entries": [],
        "reach": [
            {"file": "shop/orders.py", "line": 20, "function": "create", "call": ""},
            {"file": "shop/service.py", "line": 44, "function": "Orders.place", "call": ""},
        ],
        "site": {
            "file": "shop/billing.py",
            "line": 31,
            "function": "Billing.charge",
            "call": "requests.get",
        },
        "runs_on": "loop",
        "cause": "waiting",
        "latent": False,
        "impact": None,
        "evidence": [
            {
                "kind": "measured",
                "count": 12,
                "p50_ms": 2001.0,
                "p99_ms": 2012.4,
                "max_ms": 2012.4,
                "total_ms": 24040.0,
                "because": "the loop's thread was in poll on 127.0.0.1:9000 at 9 of 9 looks",
                "syscall": "poll",
                "peer": "127.0.0.1:9000",
                "victims": 37,
                "request_id": "7f3a",
            }
        ],
        "remedy": {"summary": "use one shared httpx2.AsyncClient with a time-out", "edit": None},
        "fingerprint": "326f7654fbc22556",
        "docs": "rules/US102",
    }
    assert list(finding_of(CHARGE)) == [
        *("code", "title", "severity", "confidence", "entry", "entries", "reach", "site"),
        *("runs_on", "cause", "latent", "impact", "evidence", "remedy", "fingerprint", "docs"),
    ]


def test_what_is_not_known_is_null_and_not_absent() -> None:
    finding = finding_of(STARVED)
    assert (finding["site"], finding["entry"], finding["reach"]) == (None, None, [])


def test_a_report_begins_with_its_version_and_tool() -> None:
    document = document_of(FOUND)
    assert list(document)[:7] == [
        *("version", "tool", "target", "verdict", "findings", "gaps", "coverage"),
    ]
    assert document["version"] == 1
    assert document["tool"] == {"name": "unstall", "version": "0.1.0"}
    assert document["verdict"] == "findings"


def test_start_up_is_shown_apart_from_what_counts() -> None:
    document = document_of(FOUND)
    assert [stall["held_ms"] for stall in document["stalls"]] == [2012.4]
    assert [stall["held_ms"] for stall in document["startup"]] == [900.0, 400.0]
    assert document["stalls"][0]["victims"] == {"waiting_in_flight": 3, "at_door": 1}


def test_lag_of_a_loop_that_never_beat_is_null() -> None:
    assert document_of(NOTHING)["lag"] == {
        "count": 0,
        "p50_ms": None,
        "p99_ms": None,
        "max_ms": None,
    }


def test_the_same_report_is_the_same_text() -> None:
    assert render(FOUND) == render(FOUND)
    assert json.loads(render(FOUND)) == document_of(FOUND)
    assert json.loads(render(CLEAN))["findings"] == []


def test_every_field_is_in_the_reference() -> None:
    described = set(re.findall(r"`([a-z0-9_]+)`", REFERENCE.read_text(encoding="utf-8")))
    hidden = set(READ.hidden)
    assert (_keys(document_of(FOUND)) | _keys(document_of(READ))) - hidden - described == set()
    assert hidden <= described


def test_what_was_read_from_source_has_its_entries_its_paths_and_its_waivers() -> None:
    document = document_of(READ)
    first = document["findings"][0]
    assert [entry["name"] for entry in first["entries"]] == ["POST /asr"]
    assert (first["impact"], first["latent"], first["runs_on"]) == ("high", True, "loop")
    assert first["reach"][0]["place"] == "loop"
    assert document["hidden"] == {"baseline": 3, "trivial": 12}
    (waived,) = document["waived"]
    assert (waived["reason"], waived["until"]) == ("runs once a day", "2027-01-31")
    steps = document["paths"][0]["steps"]
    assert [step["place"] for step in steps] == ["loop", "loop", "thread pool", "loop"]
    assert steps[-1]["blocking"][0]["fingerprint"] == first["fingerprint"]
    assert steps[-1]["blocking"][0]["time_out"] == "no time-out"


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | set().union(*map(_keys, value.values()))
    if isinstance(value, list):
        return set().union(*map(_keys, value))
    return set()
