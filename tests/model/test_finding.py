"""A finding is recognised again after the code around it has moved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.examples import CHARGE
from unstall.model.finding import Cause, Evidence, Finding, Hop
from unstall.testing import entry, site, stall


@given(line=st.integers(1, 10_000), hops=st.lists(st.integers(1, 10_000), max_size=3))
def test_no_line_number_is_in_a_fingerprint(line: int, hops: list[int]) -> None:
    moved = replace(
        CHARGE,
        site=site("requests.get", line=line),
        reach=tuple(Hop("a.py", at, "f", "") for at in hops),
    )
    assert moved.fingerprint == CHARGE.fingerprint


def test_the_price_is_not_in_a_fingerprint() -> None:
    cheaper = replace(CHARGE, evidence=(Evidence("measured", count=1),), title="other words")
    assert cheaper.fingerprint == CHARGE.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(CHARGE, code="US103"), id="rule"),
        pytest.param(replace(CHARGE, cause=Cause.LOCK), id="cause"),
        pytest.param(replace(CHARGE, site=site("requests.post")), id="call"),
        pytest.param(replace(CHARGE, site=site(file="shop/other.py")), id="file"),
        pytest.param(replace(CHARGE, site=site(function="refund")), id="function"),
        pytest.param(replace(CHARGE, site=None), id="no site"),
        pytest.param(replace(CHARGE, entry=entry(name="GET /orders")), id="route"),
        pytest.param(replace(CHARGE, entry=entry(kind="dependency")), id="kind of entry"),
        pytest.param(replace(CHARGE, entry=None), id="no entry"),
    ],
)
def test_another_place_has_another_fingerprint(other: Finding) -> None:
    assert other.fingerprint != CHARGE.fingerprint


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    assert CHARGE.fingerprint == "326f7654fbc22556"


def test_a_finding_points_to_its_page() -> None:
    assert CHARGE.docs == "rules/US102"


def test_a_stall_adds_up_its_victims_and_its_time() -> None:
    both = stall(held_ms=300, waiting_in_flight=2, at_door=3)
    assert (both.victims, both.held_ns) == (5, 300_000_000)
