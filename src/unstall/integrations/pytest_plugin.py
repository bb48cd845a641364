"""pytest: a trap around each test that asks, by `--unstall`, `unstall = true`, a marker or the fixture."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from unstall.integrations.pytest_session import Session
    from unstall.traps.trap import Trap

HELP = {
    "--unstall": "fail each test in which a call blocks the event loop, however fast it was",
    "--unstall-json": "write all findings to FILE as JSON",
    "--unstall-sarif": "write all findings to FILE as SARIF",
    "--unstall-baseline": "findings that FILE knows fail no test",
    "--unstall-update-baseline": "write what is found to the baseline, and fail no test",
    "unstall": "whether to fail tests in which a call blocks the event loop (true or false)",
    "unstall_threshold_ms": "milliseconds a test may compute on the loop, 200 by default",
    "unstall_ignore": "codes of rules, or names of calls with * for anything, that fail no test",
    "unstall_baseline": "the file of known findings, relative to the root",
}
MARKERS = (
    "unstall(threshold_ms=200, ignore=(), strict=False): fail the test if a call blocks the event loop",
    "no_unstall: let the test block the event loop",
)
_TRAP = pytest.StashKey["Trap"]()
_SESSION = pytest.StashKey["Session"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("unstall", "event loops that are blocked")
    group.addoption("--unstall", action="store_true", default=None, help=HELP["--unstall"])
    for name in ("json", "sarif", "baseline"):
        option = f"--unstall-{name}"
        group.addoption(option, metavar="FILE", default=None, help=HELP[option])
    update = "--unstall-update-baseline"
    group.addoption(update, action="store_true", default=False, help=HELP[update])
    parser.addini("unstall", HELP["unstall"], type="bool", default=False)
    parser.addini("unstall_ignore", HELP["unstall_ignore"], type="args", default=[])
    for name in ("unstall_threshold_ms", "unstall_baseline"):
        parser.addini(name, HELP[name], default="")


def pytest_configure(config: pytest.Config) -> None:
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    if is_asked(config):
        session(config).arm()


def is_asked(config: pytest.Config) -> bool:
    return bool(config.getoption("--unstall") or config.getini("unstall"))


def session(config: pytest.Config) -> Session:
    """Made when it is first needed: without it the plugin imports nothing of unstall."""
    if _SESSION not in config.stash:
        from unstall.integrations.pytest_session import Session

        config.stash[_SESSION] = Session(config)
        config.pluginmanager.register(config.stash[_SESSION], "unstall-session")
    return config.stash[_SESSION]


def trap_for(item: pytest.Item) -> Trap | None:
    """The trap of a test, or None if nobody wants one. The nearest marker wins."""
    if _TRAP in item.stash:
        return item.stash[_TRAP]
    marker = item.get_closest_marker("unstall")
    refused = item.get_closest_marker("no_unstall") is not None
    wanted = marker is not None or "unstall" in getattr(item, "fixturenames", ())
    if refused or not (wanted or is_asked(item.config)):
        return None
    given = dict(marker.kwargs) if marker is not None else {}
    item.stash[_TRAP] = session(item.config).trap(item.nodeid, given, marker.args if marker else ())
    return item.stash[_TRAP]


@pytest.fixture
def unstall(request: pytest.FixtureRequest) -> Trap:
    """The trap around this test: `unstall.findings`."""
    trap = trap_for(request.node)
    if trap is None:
        raise pytest.UsageError(
            f"{request.node.nodeid} has the marker no_unstall and asks for the fixture unstall: remove one"
        )
    return trap


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that is run again has a trap of its own each time."""
    if _TRAP in item.stash:
        del item.stash[_TRAP]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Innermost, so that fixtures and other plugins are outside."""
    trap = trap_for(item)
    if trap is None:
        return (yield)
    with ExitStack() as stack:
        stack.enter_context(trap)
        result = yield
    session(item.config).judge(item, trap)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    trap = item.stash.get(_TRAP, None)
    if trap is not None and call.when == "call":
        session(item.config).attach(report, trap)
    return report
