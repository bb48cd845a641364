"""What of a plan must not lie about in files: passwords, tokens, and values of the app's environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from unstall.model.plan import Example, Plan, Scenario

HIDDEN = "…"

_IN_URL = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")
_TELLING = re.compile(
    r"auth|cookie|token|secret|passw|api-?key|session|credential|signature", re.IGNORECASE
)


def without_secrets(plan: Plan) -> Plan:
    """The names stay: that a variable or a header was there is worth knowing."""
    app = replace(
        plan.app,
        command=in_text(plan.app.command),
        url=in_text(plan.app.url),
        env=dict.fromkeys(plan.app.env, HIDDEN),
    )
    return replace(plan, app=app, scenarios=tuple(map(_of_scenario, plan.scenarios)))


def in_text(text: str) -> str:
    """Without what stands before the @ of a URL."""
    return _IN_URL.sub(HIDDEN, text)


def _of_scenario(scenario: Scenario) -> Scenario:
    return replace(
        scenario,
        headers=_of_headers(scenario.headers),
        examples=tuple(map(_of_example, scenario.examples)),
    )


def _of_example(example: Example) -> Example:
    return replace(example, headers=_of_headers(example.headers))


def _of_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: HIDDEN if _TELLING.search(name) else value for name, value in headers.items()}
