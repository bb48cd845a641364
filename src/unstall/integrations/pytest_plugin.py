"""pytest: a trap around each test that asks, by `--unstall`, `unstall = true`, a marker or the fixture."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from unstall.chaos import Chaos
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
    elif any(config.getoption(name) for name in HELP if name.startswith("--unstall-")):
        session(config)
    elif not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Workers(config), "unstall-workers")


class _Workers:
    """With xdist tests are run elsewhere, and the first trap is heard of by its report."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "unstall") and _SESSION not in self._config.stash:
            session(self._config).pytest_runtest_logreport(report)


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
    item.stash[_TRAP] = _trap_of(item, marker)
    return item.stash[_TRAP]


def _trap_of(item: pytest.Item, marker: pytest.Mark | None) -> Trap:
    from unstall.errors import UsageError

    given, positional = (marker.kwargs, marker.args) if marker is not None else ({}, ())
    try:
        return session(item.config).trap(item.nodeid, given, positional)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A marker that makes no sense ends the run before it begins; in a worker of xdist, at its test."""
    if hasattr(config, "workerinput"):
        return
    for item in items:
        marker = item.get_closest_marker("unstall")
        if marker is not None:
            _trap_of(item, marker)


@pytest.fixture
def unstall(request: pytest.FixtureRequest) -> Trap:
    """The trap around this test: `unstall.findings`."""
    trap = trap_for(request.node)
    if trap is None:
        raise pytest.UsageError(
            f"{request.node.nodeid} has the marker no_unstall and asks for the fixture unstall: remove one"
        )
    return trap


@pytest.fixture
def unstall_chaos() -> Generator[Chaos, None, None]:
    """Proxies that misbehave: `unstall_chaos.proxy("BILLING_URL", ("127.0.0.1", 5432))`. The seed is 0."""
    from unstall.chaos import Chaos

    with Chaos() as chaos:
        yield chaos


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that is run again has a trap of its own each time."""
    if _TRAP in item.stash:
        del item.stash[_TRAP]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Innermost, so that fixtures and other plugins are outside."""
    try:
        trap = trap_for(item)
    except pytest.UsageError as error:
        pytest.fail(str(error), pytrace=False)
    if trap is None:
        return (yield)
    case = getattr(item, "instance", None)
    with ExitStack() as stack:
        if _calls_its_method(case):
            stack.enter_context(_around_method(case, trap))
        else:
            stack.enter_context(trap)
        result = yield
    session(item.config).judge(item, trap)
    return result


def _calls_its_method(case: Any) -> bool:
    """Whether it is a test case of unittest that is run as unittest runs it."""
    runs = next((each for each in type(case).__mro__ if "run" in vars(each)), object)
    return hasattr(case, "_callTestMethod") and runs.__module__.partition(".")[0] == "unittest"


@contextmanager
def _around_method(case: Any, trap: Trap) -> Generator[None, None, None]:
    """Of a test case pytest calls all at once: `setUp` and `tearDown` may block, as other fixtures."""
    call = case._callTestMethod

    def called(method: Any) -> Any:
        with trap:
            return call(method)

    case._callTestMethod = called
    try:
        yield
    finally:
        del case._callTestMethod


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    trap = item.stash.get(_TRAP, None)
    if trap is not None and call.when == "call":
        session(item.config).attach(report, trap)
    return report
