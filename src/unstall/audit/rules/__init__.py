"""Rules beyond what blocks the loop: threads, pools, time-outs, tasks, limits, and the service as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from unstall.audit.imported import Imported
from unstall.audit.program import Worked
from unstall.audit.rules import (
    clients,
    expressions,
    first,
    inputs,
    limits,
    pools,
    retries,
    service,
    slots,
    tasks,
    templates,
    threads,
    time_outs,
)
from unstall.audit.rules.deployment import read
from unstall.audit.rules.loaded import aside, loaded
from unstall.audit.rules.subject import Subject
from unstall.catalog.table import Table
from unstall.model.finding import Finding


class Check(NamedTuple):
    codes: tuple[str, ...]
    run: Callable[[Subject], Iterable[Finding]]


CHECKS = (
    Check(("US112",), first.check_imports),
    Check(("US113",), first.check_handlers),
    Check(("US205",), templates.check),
    Check(("US206",), expressions.check),
    Check(("US207",), inputs.check_loops),
    Check(("US208",), inputs.check_responses),
    Check(("US301",), threads.check_hops),
    Check(("US302",), threads.check_endless),
    Check(("US303",), threads.check_computing),
    Check(("US304",), threads.check_time_outs),
    Check(("US305",), threads.check_default_executor),
    Check(("US306",), threads.check_never_awaits),
    Check(("US401", "US402"), clients.check),
    Check(("US403",), pools.check_sums),
    Check(("US404",), pools.check_acquire),
    Check(("US405",), slots.check_nested),
    Check(("US501",), time_outs.check_http),
    Check(("US502",), time_outs.check_database),
    Check(("US503",), time_outs.check_cache),
    Check(("US504",), retries.check),
    Check(("US601",), tasks.check_lost),
    Check(("US602",), tasks.check_background),
    Check(("US603",), tasks.check_publish),
    Check(("US701",), limits.check_body_limit),
    Check(("US702",), limits.check_uploads),
    Check(("US703",), inputs.check_models),
    Check(("US801",), service.check_middleware),
    Check(("US802",), service.check_probes),
    Check(("US803",), service.check_metrics),
)


def beyond(worked: Worked, table: Table, imported: Imported | None = None) -> tuple[Finding, ...]:
    """Everything but the blocking calls themselves."""
    modules, root = worked.program.modules, worked.program.root
    if imported is not None:
        imported = imported.under({module.file: name for name, module in modules.items()})
    return findings(Subject(worked, table, worked.index, read(root), imported))


def findings(subject: Subject) -> tuple[Finding, ...]:
    """Of all rules, each once for its line."""
    found: dict[tuple[str, str, int], Finding] = {}
    slips, files = subject.worked.names.project.slips, None
    with slips.kept("", "which modules the service loads"):
        files = loaded(subject)
    modules = subject.worked.names.project.by_file
    for check in CHECKS:
        with slips.kept("", f"rule {', '.join(check.codes)}"):
            for each in aside(files, modules, check.run(subject)):
                assert each.site is not None
                found.setdefault((each.code, each.site.file, each.site.line), each)
    return tuple(found.values())
