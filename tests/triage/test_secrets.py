"""What stays out of files that people hand around."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.runs import PLAN
from unstall.model.plan import AppPlan, Example, Scenario
from unstall.triage.same_plan import differences
from unstall.triage.secrets import HIDDEN, in_text, without_secrets


def test_values_of_the_environment_are_hidden_and_names_are_not() -> None:
    app = AppPlan(env={"DATABASE_URL": "postgresql://u:hunter2@db/x", "DEBUG": "1"})
    assert without_secrets(replace(PLAN, app=app)).app.env == {
        "DATABASE_URL": HIDDEN,
        "DEBUG": HIDDEN,
    }


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("Authorization", True),
        ("Cookie", True),
        ("X-API-Key", True),
        ("X-Auth-Token", True),
        ("Content-Type", False),
        ("Accept", False),
        ("X-Scenario", False),
    ],
)
def test_headers_that_look_like_a_secret_lose_their_value(name: str, hidden: bool) -> None:
    example = Example("/x", {name: "hunter2"})
    scenario = Scenario("a", headers={name: "hunter2"}, examples=(example,))
    (kept,) = without_secrets(replace(PLAN, scenarios=(scenario,))).scenarios
    expected = {name: HIDDEN if hidden else "hunter2"}
    assert kept.headers == expected
    assert kept.examples[0].headers == expected


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("http://u:p@h:1/x", f"http://{HIDDEN}@h:1/x"),
        ("DB=postgresql://u:p@h/x uvicorn a:b", f"DB=postgresql://{HIDDEN}@h/x uvicorn a:b"),
        ("http://h/@me", "http://h/@me"),
        ("uvicorn app:app", "uvicorn app:app"),
    ],
)
def test_what_stands_before_the_at_of_a_url_is_hidden(text: str, kept: str) -> None:
    assert in_text(text) == kept


def test_a_plan_without_secrets_stays_as_it_is() -> None:
    assert without_secrets(PLAN) == PLAN


def test_a_new_token_makes_no_other_plan() -> None:
    one, other = (
        replace(PLAN, scenarios=(Scenario("a", headers={"Authorization": token}),))
        for token in ("Bearer 1", "Bearer 2")
    )
    assert differences(one, other) == ()
