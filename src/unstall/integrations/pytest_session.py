"""What a whole run of pytest under the trap comes to: the traps, the verdict on each test, the report."""

from __future__ import annotations

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
from unstall.traps.trap import THRESHOLD_MS, Trap
from unstall.triage import baseline
from unstall.version import TOOL

KEY = "unstall"
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
        self._found: dict[str, Found] = {}
        self._inactive: tuple[str, ...] = ()
        self._told: dict[str, None] = {}
        self._deselected = False
        try:
            self._settings = self._configured()
            self._known = self._baseline()
        except UnstallError as error:
            raise pytest.UsageError(str(error)) from None

    # --- options ------------------------------------------------------------------------------

    def _configured(self) -> TrapSettings:
        """What pytest's configuration says wins over `[tool.unstall.trap]`."""
        found = trap_settings(self._root)
        threshold = self._config.getini("unstall_threshold_ms")
        named = self._config.getoption("--unstall-baseline") or self._config.getini(
            "unstall_baseline"
        )
        if threshold:
            found = replace(found, threshold_ms=_threshold(threshold, "unstall_threshold_ms"))
        if named:
            found = replace(found, baseline=Path(named))
        return replace(found, ignore=(*found.ignore, *self._config.getini("unstall_ignore")))

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
        return baseline.read(self._file)

    # --- traps --------------------------------------------------------------------------------

    def arm(self) -> None:
        """The hooks go in before the application is imported, and stay in between tests."""
        try:
            self._inactive = inactive_hooks()
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
            raise pytest.UsageError(
                f"the marker unstall of {test} has {what}: it takes {', '.join(sorted(_GIVEN))}"
            )
        ignore = given.get("ignore", ())
        ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        try:
            return Trap(
                threshold_ms=float(given.get("threshold_ms", self._threshold)),
                ignore=(*self._settings.ignore, *ignore),
                strict=bool(given.get("strict", False)),
                root=self._root,
            )
        except (UnstallError, TypeError, ValueError) as error:
            raise pytest.UsageError(f"the marker unstall of {test}: {error}") from None

    def judge(self, item: pytest.Item, trap: Trap) -> None:
        """Fails the test if it has passed so far."""
        wrong = [each for each in trap.errors if each.fingerprint not in self._known]
        if wrong and not self._updates:
            pytest.fail(said_of(wrong), pytrace=False)

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
        self._deselected = self._deselected or bool(items)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        carried = getattr(report, KEY, None)
        if carried is None:
            return
        self._told.update(dict.fromkeys(carried["gaps"]))
        for each in carried["findings"]:
            finding = load(Finding, each)
            found = self._found.setdefault(finding.fingerprint, Found(finding))
            if report.nodeid not in found.tests:
                found.tests.append(report.nodeid)

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workerinput"):
            return
        report = self._report()
        self._write("--unstall-json", json_report.render, report)
        self._write("--unstall-sarif", sarif.render, report)
        if self._updates and self._file is not None:
            baseline.write(self._file, self._updated())

    @pytest.hookimpl
    def pytest_unconfigure(self) -> None:
        self._stack.close()

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        found = self._found.values()
        if not (found or self._inactive or self._told):
            return
        terminalreporter.section("unstall")
        for each in sorted(found, key=lambda each: (each.finding.severity, -len(each.tests))):
            terminalreporter.line(self._line(each))
        for gap in self._gaps():
            terminalreporter.line(f"gap: {gap}")

    def _line(self, found: Found) -> str:
        finding, tests = found.finding, len(found.tests)
        site = finding.site
        where = f"{site.file}:{site.line} calls {site.call}" if site else "no line"
        known = ", known to the baseline" if finding.fingerprint in self._known else ""
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
        name = self._config.getoption(option)
        if not name:
            return
        try:
            Path(name).write_text(f"{render(report)}\n", encoding="utf-8")
        except OSError as error:
            raise pytest.UsageError(
                f"{option} {name} cannot be written ({error.strerror}): name a file in a folder there is"
            ) from None

    def _updated(self) -> baseline.Baseline:
        """What was not seen by a part of the tests may still be there."""
        errors = [
            each.finding for each in self._found.values() if each.finding.severity is Severity.ERROR
        ]
        found = baseline.of(_distinct(errors))
        whole = (
            self._config.args_source is not pytest.Config.ArgsSource.ARGS and not self._deselected
        )
        return found if whole else {**self._known, **found}


def _is_ours(report: pytest.TestReport) -> bool:
    return BLOCKED in str(report.longrepr)


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    return list({each.fingerprint: each for each in findings}.values())


def _threshold(text: str, name: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else threshold_of(text, name)
