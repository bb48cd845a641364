"""What the watchdog measured inside a trap, and how it meets what was seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.traps.test_judge import HANDLER, call
from unstall.errors import UsageError
from unstall.model.finding import Evidence, Finding
from unstall.model.observation import Stretch
from unstall.testing import frame, library, look, stack, stdlib, stretch
from unstall.traps import regions
from unstall.traps.judge import findings_of_calls
from unstall.traps.measured import MONITORS, Stretches, merged, settings_of
from unstall.watch.monitor import Monitor

COMPUTES = stack(HANDLER, frame("shop.prices:total", 7, "math.fsum"))


def busy(**parts: object) -> Stretch:
    seen = look(COMPUTES, times=20, running=True)
    return replace(stretch(seen, late_ms=500, cpu_ms=510), **parts)  # type: ignore[arg-type]


def measured(*stretches: Stretch, ignore: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    made = Stretches(200, Path())
    made._is_ours = lambda thread, at_ns: True
    for each in stretches:
        made.heard(each)
    return made.findings(ignore)


def test_what_computes_for_longer_than_the_threshold_is_found() -> None:
    (finding,) = measured(busy())
    assert (finding.code, finding.cause) == ("US200", "cpu")
    assert finding.site is not None
    assert finding.site.line == 7


def test_the_last_word_on_a_stall_counts() -> None:
    assert len(measured(busy(ongoing=True, until_ns=300_000_000), busy())) == 1


def test_what_began_before_the_trap_is_not_its_own() -> None:
    made = Stretches(200, Path())
    made._is_ours = lambda thread, at_ns: at_ns >= 1_000_000_000
    made.heard(busy())
    assert made.findings(()) == ()


def test_what_goes_on_after_it_was_closed_is_not_its_own_either() -> None:
    long = busy()
    made = Stretches(200, Path())
    made._is_ours = lambda thread, at_ns: True
    made.heard(long)
    made._closed_ns = long.due_ns + 150_000_000
    assert made.findings(()) == ()
    made._closed_ns = long.due_ns + 250_000_000
    assert len(made.findings(())) == 1


def test_what_an_installed_handler_computes_below_a_line_of_ones_own_is_told_at_its_line() -> None:
    route = library("fastapi.routing:run_endpoint_function")
    served = stack(HANDLER, route, library("acme.prices:total", 3, "math.fsum"))
    (finding,) = measured(busy(looks=(look(served, times=20, running=True),)))
    assert finding.site is not None
    assert (finding.code, finding.site.function) == ("US200", "total")
    alone = stack(*served.frames[1:])
    assert measured(busy(looks=(look(alone, times=20, running=True),))) == ()


def test_the_machine_is_not_accused() -> None:
    starved = busy()
    doubts = replace(starved.doubts, queued_ns=480_000_000)
    assert measured(replace(starved, cpu_ns=10_000_000, doubts=doubts)) == ()


def test_nor_what_a_pack_allows_what_no_line_of_the_application_did_or_what_is_ignored() -> None:
    tracer = stack(HANDLER, library("coverage.collector:trace"))
    assert measured(busy(looks=(look(tracer, times=20, running=True),))) == ()
    nobody = stack(stdlib("json.decoder:decode"))
    assert measured(busy(looks=(look(nobody, times=20, running=True),))) == ()
    assert measured(busy(), ignore=("US2",)) == ()


def test_nor_what_somebody_answers_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "SPANS", [regions.Span(0, 10**9, "create")])
    assert measured(busy()) == ()
    monkeypatch.setattr(regions, "SPANS", [regions.Span(0, 10**9, "other")])
    assert len(measured(busy())) == 1


def test_a_call_that_was_seen_and_measured_is_one_finding() -> None:
    (seen,) = findings_of_calls([call("time.sleep", HANDLER)])
    long = replace(seen, latent=False, evidence=(Evidence("measured", 1, max_ms=300.0),))
    (finding,) = merged([long], [seen])
    assert [each.kind for each in finding.evidence] == ["measured", "seen"]
    assert not finding.latent


def test_elsewhere_they_are_two() -> None:
    seen = findings_of_calls([call("time.sleep", HANDLER)])
    assert len(merged(measured(busy()), seen)) == 2


def test_a_monitor_without_loops_is_settled_at_once() -> None:
    with Monitor(settings_of(200, Path())) as monitor:
        assert monitor.settle(0)


def test_traps_with_equal_settings_share_a_monitor() -> None:
    settings = settings_of(200, Path())
    with MONITORS.held(settings):
        shared = MONITORS.hold(settings)
        assert MONITORS.hold(settings_of(200, Path())) is shared
        MONITORS.release(settings)
        MONITORS.release(settings)
        assert shared.statistics().running
    assert not shared.statistics().running


def test_a_threshold_that_cannot_be_watched_is_said() -> None:
    with pytest.raises(UsageError, match="outside 5 to 60000"):
        settings_of(0.5, Path())
