"""The libraries' benchmark: what its judge counts for and against the trap."""

from __future__ import annotations

from benchmarks import libraries
from benchmarks.cases.case import Case, Group
from benchmarks.support.protocols import SERVERS
from benchmarks.support.scores import Score
from unstall.model.finding import Cause


async def asked() -> None:
    """Stands for a case."""


CASE = Case(asked, Group.LATENT, Cause.WAITING, "US103")
CLEAN = Case(asked, Group.CLEAN)


def judged(case: Case, **marks: object) -> tuple[list[str], list[str]]:
    score = Score("asked", "trap", "asyncio", **marks)  # type: ignore[arg-type]
    known = {"asked": case}
    said = [each.partition(":")[0] for each in libraries.complaints([score], known)]
    return said, [bar.name for bar in libraries.bars([score], known) if not bar.holds]


def test_a_call_that_is_caught_at_its_line_by_its_rule_is_right() -> None:
    assert judged(CASE, caught=True, line=True, said="error US103 x.py:1") == ([], [])


def test_a_miss_and_another_line_fail_the_bar() -> None:
    assert judged(CASE) == (["missed"], ["libraries_caught"])
    assert judged(CASE, caught=True, said="US103") == (["not right"], ["libraries_caught"])


def test_another_rule_is_said() -> None:
    assert judged(CASE, caught=True, line=True, said="error US108")[0] == [
        "another rule than US103"
    ]


def test_clean_code_that_is_accused_and_a_service_that_broke_fail_theirs() -> None:
    assert judged(CLEAN, noise=1) == (["accused"], ["libraries_noise"])
    assert judged(CLEAN, trouble="it did not start") == (["void"], ["libraries_ran"])


def test_the_servers_have_names_of_their_own() -> None:
    assert not set(SERVERS) & {"http", "late", "grpc", "valkey", "postgres"}
