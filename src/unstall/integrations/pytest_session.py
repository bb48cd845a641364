"""What a whole run of pytest under the trap comes to: the traps, the verdict on each test, the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from unstall.configuration import TrapSettings, trap_settings
from unstall.errors import UnstallError, UsageError
from unstall.integrations.blocked import BLOCKED, said_of
from unstall.model.codec import dump, load
from unstall.model.finding import Finding, Severity
from unstall.model.report import Report, Verdict
from unstall.report import json as json_report
from unstall.report import sarif
from unstall.report.text import culprit
from unstall.settings import threshold_of
from unstall.traps.canary import inactive_hooks
from unstall.traps.hooks import HOOKS
from unstall.traps.measured import MONITORS, settings_of
from unstall.traps.trap import THRESHOLD_MS, Trap, ignored
from unstall.triage import baseline
from unstall.version import TOOL

KEY = "unstall"
_PART = "unstall_part"
"""What a worker of xdist tells at its end: whether it ran a part of the tests only."""
"""The attribute of a test's report that carries its findings from a worker of xdist."""
_GIVEN = frozenset({"threshold_ms", "ignore", "strict"})


@dataclass(slots=True)
class Found:
    """One finding, and the tests that made it."""

    finding: Finding
    tests: list[str] = field(default_factory=list)


class Session:
    """Registered as a plugin, in each worker of xdist and in its controller."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._root = config.rootpath
        self._stack = ExitStack()
        self._found: dict[tuple[object, ...], Found] = {}
        self._lines: dict[str, set[object]] = defaultdict(set)
        """By fingerprint: where errors were seen."""
        self._inactive: tuple[str, ...] = ()
        self._told: dict[str, None] = {}
        self._unwritten: list[str] = []
        self._is_part = _is_part(config)
        """Whether some of the tests are not run, so that what is not seen may be there."""
        try:
            self._settings = self._configured()
            self._known = self._baseline()
            self._files = {
                option: self._writable(option, config.getoption(option)) for option in _REPORTS
            }
            if self._updates and self._file is not None:
                self._writable("the baseline", self._file)
            self._inactive = inactive_hooks()
        except UnstallError as error:
            raise pytest.UsageError(str(error)) from None

    # --- options ------------------------------------------------------------------------------

    def _configured(self) -> TrapSettings:
        """What pytest's configuration says wins over `[tool.unstall.trap]`."""
        found = trap_settings(self._root)
        threshold = self._config.getini("unstall_threshold_ms")
        named = self._config.getoption("--unstall-baseline")
        baseline = self._here(named) if named else self._config.getini("unstall_baseline")
        if threshold:
            found = replace(found, threshold_ms=_threshold(threshold, "unstall_threshold_ms"))
        if baseline:
            found = replace(found, baseline=Path(baseline))
        ours = ignored(found.ignore, f"ignore in {found.file}")
        more = ignored(self._config.getini("unstall_ignore"), "unstall_ignore")
        return replace(found, ignore=(*ours, *more))

    def _here(self, name: str | Path) -> Path:
        """What the command line names is relative to the folder it was typed in."""
        return self._config.invocation_params.dir / name

    def _writable(self, what: str, name: str | Path | None) -> Path | None:
        """Checked before the tests are run and not after it. Raises UsageError."""
        if not name:
            return None
        file = self._here(name)
        if not file.parent.is_dir() or file.is_dir():
            raise UsageError(f"{what} {name} cannot be written: name a file in a folder there is")
        return file

    @property
    def _updates(self) -> bool:
        return bool(self._config.getoption("--unstall-update-baseline"))

    @property
    def _file(self) -> Path | None:
        return self._root / self._settings.baseline if self._settings.baseline else None

    def _baseline(self) -> baseline.Baseline:
        if self._updates and self._file is None:
            raise UsageError(
                "--unstall-update-baseline has no file to write: name one with --unstall-baseline FILE"
            )
        if self._file is None or (self._updates and not self._file.exists()):
            return {}
        return baseline.read(self._file, "--unstall-update-baseline")

    # --- traps --------------------------------------------------------------------------------

    def arm(self) -> None:
        """The hooks go in before the application is imported, and stay in between tests."""
        try:
            if self._threshold:
                self._stack.enter_context(MONITORS.held(settings_of(self._threshold, self._root)))
            self._stack.enter_context(HOOKS.held())
        except UnstallError as error:
            raise pytest.UsageError(str(error)) from None

    @property
    def _threshold(self) -> float:
        given = self._settings.threshold_ms
        return THRESHOLD_MS if given is None else given

    def trap(self, test: str, given: Mapping[str, Any], positional: Sequence[Any]) -> Trap:
        """`given` is what the marker says."""
        unknown = sorted(set(given) - _GIVEN)
        if unknown or positional:
            what = unknown[0] if unknown else repr(positional[0])
            raise UsageError(
                f"the marker unstall of {test} has {what}: it takes {', '.join(sorted(_GIVEN))}"
            )
        try:
            ignore = given.get("ignore", ())
            ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
            return Trap(
                threshold_ms=float(given.get("threshold_ms", self._threshold)),
                ignore=(*self._settings.ignore, *ignore),
                strict=bool(given.get("strict", False)),
                root=self._root,
            )
        except (UnstallError, TypeError, ValueError) as error:
            raise UsageError(f"the marker unstall of {test}: {error}") from None

    def judge(self, item: pytest.Item, trap: Trap) -> None:
        """Fails the test if it has passed so far."""
        for each in trap.errors:
            self._lines[each.fingerprint].add(_line(each))
        wrong = [each for each in trap.errors if self._is_new(each)]
        if wrong and not self._updates:
            pytest.fail(said_of(wrong), pytrace=False)

    def _is_new(self, finding: Finding) -> bool:
        """Of twins on several lines so many are known as the baseline counts, whichever they are."""
        known = self._known.get(finding.fingerprint)
        return known is None or len(self._lines[finding.fingerprint]) > known.count

    def attach(self, report: pytest.TestReport, trap: Trap) -> None:
        """So that it reaches the controller, and stands below a test that failed by itself."""
        setattr(
            report,
            KEY,
            {"findings": [dump(each) for each in trap.findings], "gaps": list(trap.gaps)},
        )
        quiet = [each for each in trap.findings if each not in trap.errors]
        shown = [*quiet, *(trap.errors if report.failed and not _is_ours(report) else ())]
        if shown:
            report.sections.append(("unstall", "\n\n".join(culprit(each) for each in shown)))

    # --- the run ------------------------------------------------------------------------------

    @pytest.hookimpl
    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._is_part = self._is_part or bool(items)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._is_part = self._is_part or report.failed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker of xdist has ended, and it alone knows what it has left out."""
        told = getattr(node, "workeroutput", {})
        self._is_part = self._is_part or bool(error) or bool(told.get(_PART, True))

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        carried = getattr(report, KEY, None)
        if carried is None:
            return
        self._told.update(dict.fromkeys(carried["gaps"]))
        for each in carried["findings"]:
            finding = load(Finding, each)
            key = finding.fingerprint, _line(finding), finding.entry
            found = self._found.setdefault(key, Found(finding))
            if finding.severity is Severity.ERROR:
                self._lines[finding.fingerprint].add(_line(finding))
            if report.nodeid not in found.tests:
                found.tests.append(report.nodeid)

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus not in _TO_THE_END or session.shouldfail or session.shouldstop:
            self._is_part = True
        if is_worker(self._config):
            self._config.workeroutput[_PART] = self._is_part  # type: ignore[attr-defined]
            return
        report = self._report()
        for option, render in _REPORTS.items():
            self._write(option, render, report)
        if self._updates and self._file is not None:
            try:
                baseline.write(self._file, self._updated())
            except UsageError as error:
                self._unwritten.append(str(error))
        if self._unwritten and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    @pytest.hookimpl
    def pytest_unconfigure(self) -> None:
        self._stack.close()

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        found = self._found.values()
        if not (found or self._inactive or self._told or self._unwritten):
            return
        terminalreporter.section("unstall")
        for one in sorted(found, key=lambda each: (each.finding.severity, -len(each.tests))):
            terminalreporter.line(self._line(one))
        for gap in self._gaps():
            terminalreporter.line(f"gap: {gap}")
        for each in self._unwritten:
            terminalreporter.line(f"error: {each}")

    def _line(self, found: Found) -> str:
        finding, tests = found.finding, len(found.tests)
        site = finding.site
        where = f"{site.file}:{site.line} calls {site.call}" if site else "no line"
        known = "" if self._is_new(finding) else ", known to the baseline"
        many = f"{tests} tests" if tests > 1 else found.tests[0]
        return f"{finding.severity} {finding.code} {where} ({many}{known})"

    # --- what is written ----------------------------------------------------------------------

    def _report(self) -> Report:
        findings = tuple(each.finding for each in self._found.values())
        errors = any(each.severity is Severity.ERROR for each in findings)
        return Report(
            tool=TOOL,
            target=f"pytest {self._root.name}",
            verdict=Verdict.FINDINGS if errors else Verdict.CLEAN,
            findings=findings,
            gaps=self._gaps(),
        )

    def _gaps(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._inactive, *self._told)))

    def _write(self, option: str, render: Any, report: Report) -> None:
        file = self._files[option]
        if file is None:
            return
        try:
            file.write_text(f"{render(report)}\n", encoding="utf-8")
        except OSError as error:
            self._unwritten.append(
                f"{option} {file} cannot be written ({error.strerror}): name a file in a folder there is"
            )

    def _updated(self) -> baseline.Baseline:
        """What was not seen by a part of the tests may still be there."""
        errors = [
            each.finding for each in self._found.values() if each.finding.severity is Severity.ERROR
        ]
        found = baseline.of(_distinct(errors))
        if not self._is_part:
            return found
        for mark, known in self._known.items():
            more = found.get(mark, known)
            found[mark] = replace(more, count=max(more.count, known.count))
        return found


_REPORTS = {"--unstall-json": json_report.render, "--unstall-sarif": sarif.render}
_TO_THE_END = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
_OF_A_PART = ("collectonly", "setuponly", "setupplan", "lf", "stepwise", "ignore", "ignore_glob")
"""Options of pytest that leave tests out and tell nobody."""


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _is_part(config: pytest.Config) -> bool:
    """As far as it can be known before tests are collected. A worker is given what its controller chose."""
    if is_worker(config):
        return False
    source, here = config.args_source, config.invocation_params.dir
    if source is pytest.Config.ArgsSource.ARGS:
        return True
    if source is pytest.Config.ArgsSource.INVOCATION_DIR and here != config.rootpath:
        return True
    return any(config.getoption(name, None) for name in _OF_A_PART)


def _line(finding: Finding) -> object:
    return (finding.site.file, finding.site.line) if finding.site else None


def _is_ours(report: pytest.TestReport) -> bool:
    return BLOCKED in str(report.longrepr)


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Twins count by their lines, and not by routes or tests that come by."""
    return list({(each.fingerprint, _line(each)): each for each in findings}.values())


def _threshold(text: str, name: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else threshold_of(text, name)
