"""What the demonstration says of three runs."""

from __future__ import annotations

from typing import Any

from tally.demo.told import SPENT, Played, culprit, table, told


def phase(verdict: str, fault: str = "", **other: Any) -> dict[str, Any]:
    ingest = {
        "name": "ingest",
        "due": 48,
        "dropped": 1,
        "errors": 7,
        "p50_ms": 6.853,
        "p95_ms": 1_500.0,
        "p99_ms": None,
    }
    query = {
        "name": "query",
        "due": 8,
        "dropped": 0,
        "errors": 0,
        "p50_ms": 1.0,
        "p95_ms": 1.0,
        "p99_ms": 1.0,
    }
    figures = {
        "fault": fault, "streams": [query, ingest], "witness": {"p99_ms": 10_740.0}, "lag_p99_ms": 4.25,
        "stalls": 2, "victims": 209, "victims_at_least": False, "verdict": verdict,
        "because": f"{verdict} it is",
    }  # fmt: skip
    return figures | other


def played(stage: str, verdict: str, text: str = "") -> Played:
    figures = [phase("isolated"), phase(verdict, "hang BILLING_URL: 15 s")]
    return Played(stage, {"figures": figures}, text)


def test_each_phase_is_a_row_under_its_stage() -> None:
    head, _, well, ill = table([played("blocking", "frozen")]).splitlines()
    assert head.split() == (
        "stage billing offered served p50 p95 p99 witness p99 loop lag p99 stalls victims verdict".split()
    )
    assert (
        well.split() == "blocking well 48 40 6.9 ms 1.50 s - 10.74 s 4.2 ms 2 209 isolated".split()
    )
    assert ill.split() == "1 of 3 hangs 48 40 6.9 ms 1.50 s - 10.74 s 4.2 ms 2 209 frozen".split()


def test_columns_stand_below_each_other() -> None:
    lines = table([played("blocking", "frozen"), played("async", "isolated")]).splitlines()
    assert {line.index("48") for line in lines[2:]} == {lines[2].index("48")}
    assert {max(line.find("isolated"), line.find("frozen")) for line in lines[2:]} == {
        lines[0].index("verdict")
    }


def test_victims_that_could_not_all_be_counted_have_a_plus() -> None:
    run = {"figures": [phase("frozen", victims_at_least=True, witness=None)]}
    row = table([Played("blocking", run, "")]).splitlines()[-1]
    assert "209+" in row
    assert row.split()[9] == "-"


def test_the_culprit_is_the_first_finding_of_the_blocking_stage() -> None:
    text = "frozen: it was\n\n  phase  due\n\nUS102  a call\n  site  x.py:3\n\nUS200  computing\n"
    runs = [played("async", "isolated", "US903  another\n"), played("blocking", "frozen", text)]
    assert culprit(runs) == "US102  a call\n  site  x.py:3"
    assert culprit(runs[:1]) == ""
    assert "blocking frozen: frozen it is" in told(runs)
    assert "US102  a call" in told(runs)


def test_a_pool_that_lasted_is_put_into_perspective_and_one_that_did_not_is_not() -> None:
    assert SPENT in told([played("offloaded", "isolated")])
    assert SPENT not in told([played("offloaded", "frozen")])
    assert SPENT not in told([played("async", "isolated")])
