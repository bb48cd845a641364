"""Findings as SARIF 2.1.0: the chain is a code flow, a waiver is a suppression."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from unstall.model.finding import Finding, Site
from unstall.model.report import Report, Waived
from unstall.report.audit import sentence
from unstall.report.chain import Link, chain_of, entries_of, label_of, shown
from unstall.report.pages import page_of
from unstall.rules import BY_CODE

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ROOT = "%SRCROOT%"
_RANKS = {"certain": 90.0, "likely": 60.0, "possible": 30.0}


def render(report: Report) -> str:
    """The log, without a final newline."""
    return json.dumps(document_of(report), indent=2, ensure_ascii=False)


def document_of(report: Report) -> dict[str, Any]:
    waived = {id(each.finding): each for each in report.waived}
    findings = [*report.findings, *(each.finding for each in report.waived)]
    codes = sorted({finding.code for finding in findings})
    twins: Counter[str] = Counter()
    results = []
    for finding in findings:
        twins[finding.fingerprint] += 1
        mark = f"{finding.fingerprint}:{twins[finding.fingerprint]}"
        results.append(_result(finding, codes, mark, waived.get(id(finding))))
    name, _, version = report.tool.partition(" ")
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": name or "unstall",
                        **({"version": version, "semanticVersion": version} if version else {}),
                        "rules": [_rule(code, findings) for code in codes],
                    }
                },
                "invocations": [
                    {"executionSuccessful": True, "toolExecutionNotifications": _told(report)}
                ],
                "originalUriBaseIds": {_ROOT: {"description": {"text": "the root of the project"}}},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(code: str, findings: Iterable[Finding]) -> dict[str, Any]:
    row = BY_CODE.get(code)
    found = next(finding for finding in findings if finding.code == code)
    title, remedy = (row.title, row.remedy) if row else (found.title, found.remedy.summary)
    severity = row.severity if row else found.severity
    help_: dict[str, str] = {"text": remedy}
    if page := page_of(code):
        help_["markdown"] = page
    return {
        "id": code,
        **({"name": row.slug} if row else {}),
        "shortDescription": {"text": title},
        "fullDescription": {"text": f"{title}: {remedy}"},
        "help": help_,
        "defaultConfiguration": {"level": severity.value},
        "properties": {"tags": ["performance", "asyncio"], "precision": "high"},
    }


def _result(finding: Finding, codes: list[str], mark: str, waived: Waived | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": finding.severity.value,
        "rank": _RANKS[finding.confidence],
        "message": {"text": _message(finding)},
        "locations": [_location(finding.site)] if finding.site else [],
        "partialFingerprints": {"unstall/v1": mark},
        "properties": {
            "confidence": finding.confidence.value,
            "place": finding.runs_on,
            "impact": finding.impact,
            "entries": [label_of(entry) for entry in finding.entries],
        },
    }
    if flow := _flow(finding):
        result["codeFlows"] = [flow]
    if waived is not None:
        reason = waived.reason + (f" (until {waived.until})" if waived.until else "")
        result["suppressions"] = [
            {
                "kind": "inSource",
                "status": "accepted",
                "justification": reason,
                "location": _place(waived.file, waived.line),
            }
        ]
    return result


def _message(finding: Finding) -> str:
    said = f"{sentence(finding)}. {finding.remedy.summary[:1].upper()}{finding.remedy.summary[1:]}."
    if entries := entries_of(finding):
        said += f" It is reached from {entries}."
    return said


def _flow(finding: Finding) -> dict[str, Any] | None:
    chain = chain_of(finding)
    steps = [link for link in chain if link.file]
    if not steps:
        return None
    return {
        "message": {"text": shown(chain)},
        "threadFlows": [{"locations": [_step(link, at) for at, link in enumerate(steps, 1)]}],
    }


def _step(link: Link, order: int) -> dict[str, Any]:
    return {
        "location": {**_place(link.file, link.line), "message": {"text": shown([link])}},
        "executionOrder": order,
        "importance": "essential",
        **({"properties": {"place": link.place}} if link.place else {}),
    }


def _location(site: Site) -> dict[str, Any]:
    module = site.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    name = f"{module}.{site.function}"
    return {
        **_place(site.file, site.line),
        "logicalLocations": [{"fullyQualifiedName": name, "kind": "function"}],
    }


def _place(file: str, line: int) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(file), "uriBaseId": _ROOT},
            "region": {"startLine": max(1, line)},
        }
    }


def _told(report: Report) -> list[dict[str, Any]]:
    """What was not seen, and what is wrong with waivers."""
    said = [("warning", text) for text in report.objections]
    said += [("note", text) for text in (*report.remarks, *report.gaps)]
    return [{"level": level, "message": {"text": text}} for level, text in said]
