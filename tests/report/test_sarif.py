"""What code scanning reads: the shape that SARIF 2.1.0 demands, and what of it we fill."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.report.sources import PROBE, QUERY, READ, WAIVED, reached
from unstall.report.sarif import document_of, render

RUN = document_of(READ)["runs"][0]


def result(code: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
    results = (document or document_of(READ))["runs"][0]["results"]
    return next(each for each in results if each["ruleId"] == code)


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
        for each in value.values():
            yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)


def test_it_is_json_of_the_version() -> None:
    document = json.loads(render(READ))
    assert (document["version"], len(document["runs"])) == ("2.1.0", 1)
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    driver = document["runs"][0]["tool"]["driver"]
    assert (driver["name"], driver["semanticVersion"]) == ("unstall", "0.1.0")


def test_each_result_points_at_its_rule_and_each_rule_has_help() -> None:
    rules = RUN["tool"]["driver"]["rules"]
    for each in RUN["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        assert each["level"] in ("error", "warning", "note")
        assert each["message"]["text"]
    assert len({rule["id"] for rule in rules}) == len(rules) == 4
    for rule in rules:
        assert rule["help"]["text"]
        assert rule["help"]["markdown"].startswith(f"# {rule['id']}: ")
        assert rule["shortDescription"]["text"]


def test_the_chain_is_a_code_flow_with_places() -> None:
    (flow,) = result("US103")["codeFlows"]
    (thread,) = flow["threadFlows"]
    steps = thread["locations"]
    said = [step["location"]["message"]["text"] for step in steps]
    assert said == ["POST /asr [loop]", "Repo.load [loop]", "sqlalchemy.orm.Session.execute [loop]"]
    assert [step["properties"]["place"] for step in steps] == ["loop"] * 3
    where = steps[0]["location"]["physicalLocation"]
    assert where["artifactLocation"]["uri"] == "shop/audio.py"
    assert where["region"] == {"startLine": 31}


def test_paths_are_relative_and_are_uris() -> None:
    document = document_of(replace(READ, findings=(reached(file="a b/größe.py"),)))
    uris = [value for key, value in walk(document["runs"]) if key == "uri"]
    assert "a%20b/gr%C3%B6%C3%9Fe.py" in uris
    assert all(re.fullmatch(r"[\w./%~-]+", uri, re.ASCII) for uri in uris)


def test_lines_begin_at_one() -> None:
    document = document_of(replace(READ, findings=(reached(line=0),)))
    assert result("US103", document)["locations"][0]["physicalLocation"]["region"]["startLine"] == 1


def test_a_waiver_is_a_suppression_with_its_reason() -> None:
    results = RUN["results"]
    (suppressed,) = [each for each in results if "suppressions" in each]
    (said,) = suppressed["suppressions"]
    assert said["kind"] == "inSource"
    assert said["justification"] == "runs once a day (until 2027-01-31)"
    assert len(results) == len(READ.findings) + 1


def test_twins_have_fingerprints_of_their_own_without_lines() -> None:
    twins = replace(READ, findings=(QUERY, reached(line=95)), waived=(WAIVED,))
    marks = [
        each["partialFingerprints"]["unstall/v1"]
        for each in document_of(twins)["runs"][0]["results"]
    ]
    assert marks[:2] == [f"{QUERY.fingerprint}:1", f"{QUERY.fingerprint}:2"]
    assert len(set(marks)) == 3


def test_confidence_is_a_rank() -> None:
    assert result("US103")["rank"] > result("US107")["rank"]
    assert result("US107")["properties"]["confidence"] == PROBE.confidence


def test_gaps_and_objections_are_notifications() -> None:
    document = document_of(replace(READ, objections=("a.py:1: a waiver needs a reason",)))
    (invocation,) = document["runs"][0]["invocations"]
    told = invocation["toolExecutionNotifications"]
    assert [each["level"] for each in told] == ["warning", "note", "note"]
    assert "shop/broken.py" in told[-1]["message"]["text"]


def test_a_finding_without_a_site_has_no_location() -> None:
    document = document_of(replace(READ, findings=(replace(QUERY, site=None, reach=()),)))
    assert result("US103", document)["locations"] == []
    assert "codeFlows" not in result("US103", document)


def test_nothing_is_null() -> None:
    nulls = {key for key, value in walk(document_of(READ)["runs"]) if value is None}
    assert nulls == set()
