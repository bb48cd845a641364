"""A run for a terminal: the verdict, one table of phases, whose fault it was, and what decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unstall.model.proof import Run
from unstall.model.report import WitnessVerdict
from unstall.report.blocks import WIDTH, Block, Row, lines_of, paint, wrapped
from unstall.report.run_figures import (
    PhaseFigures,
    StreamFigures,
    because_text,
    change_values,
    culprits,
    figures_of,
    gate_line,
    headline,
    judged_line,
    judged_word,
    no_harm,
    stalls_text,
    time_of,
    victims_text,
    witness_text,
)
from unstall.report.text import block_of
from unstall.report.units import columns, counted
from unstall.triage.regression import Change, Direction, regressions

STYLES = {
    WitnessVerdict.FROZEN: "bad",
    WitnessVerdict.DEGRADED: "fair",
    WitnessVerdict.NOT_ENOUGH_DATA: "fair",
    WitnessVerdict.ISOLATED: "good",
}
_WORDS = {"held": "good", "missed": "bad", "unknown": "fair"}
_MOST_CULPRITS = 5
_MOST_UNEXERCISED = 10
_MOST_CHANGES = 20
_HEADS = (
    "phase", "due", "answered", "errors", "p50", "p95", "p99", "witness", "lag", "stalls", "victims",
    "verdict",
)  # fmt: skip
_NAME_AT_LEAST = 12
_TIMES = " ×"


def text(run: Run, changes: Sequence[Change] = (), *, colour: bool = False) -> str:
    """Without a final newline."""
    figures = figures_of(run)
    parts = [
        lines_of(Block(headline(run), ()), colour, STYLES[run.verdict]),
        _table(figures, colour),
        [line for each in figures for line in _because(each, colour)],
        *(lines_of(block_of(each), colour) for each in culprits(run, _MOST_CULPRITS)),
        lines_of(Block("", tuple(_no_harm(run))), colour),
        lines_of(Block("", tuple(_deciding(run, changes))), colour),
        lines_of(Block("", tuple(_unseen(run))), colour),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


# --- the table ------------------------------------------------------------------------------


def _table(figures: Sequence[PhaseFigures], colour: bool) -> list[str]:
    """Of a phase with several kinds of requests each has a line below it."""
    if not figures:
        return []
    rows = [row for each in figures for row in _rows(each)]
    lines = _columns([_HEADS, *rows])
    said = [paint(lines[0], "dim", colour)]
    for line, row in zip(lines[1:], rows, strict=True):
        verdict = row[-1]
        cut = len(line) - len(verdict)
        said.append(line[:cut] + paint(verdict, _STYLES_BY_WORD.get(verdict, ""), colour))
    return [*said, paint("  witness and lag: 99th percentiles", "dim", colour)]


def _rows(phase: PhaseFigures) -> Iterator[tuple[str, ...]]:
    name = phase.name + (f"{_TIMES}{phase.repeats}" if phase.repeats > 1 else "")
    witness = witness_text(phase)
    # Said in full below the table, where there is room.
    known = phase.verdict is not WitnessVerdict.NOT_ENOUGH_DATA
    felt = (
        witness,
        time_of(phase.lag_p99_ms),
        stalls_text(phase),
        victims_text(phase),
        str(phase.verdict) if known else "-",
    )
    if len(phase.streams) == 1:
        yield (name, *_requests(phase.streams[0]), *felt)
        return
    yield (name, *("" for _ in range(6)), *felt)
    for stream in phase.streams:
        yield (f"  {stream.name}", *_requests(stream), *("" for _ in felt))


def _requests(stream: StreamFigures) -> tuple[str, ...]:
    times = (stream.p50_ms, stream.p95_ms, stream.p99_ms)
    return (str(stream.due), str(stream.answered), str(stream.errors), *map(time_of, times))


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first and last column to the left. Names are cut until all fits into the width of a page."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gap = 2 if sum(widths) + 2 * len(widths) <= WIDTH else 1
    room = WIDTH - 2 - sum(widths[1:]) - gap * (len(widths) - 1)
    width = max(_NAME_AT_LEAST, min(widths[0], room))
    cut = [(_cut(name, width).ljust(width), *rest) for name, *rest in rows]
    return [f"  {line}" for line in columns(cut, left=(0, len(widths) - 1), gap=gap)]


def _cut(text: str, width: int) -> str:
    """The number of repeats stays."""
    name, times, number = text.rpartition(_TIMES)
    if len(text) <= width:
        return text
    if not (times and number.isdigit()):
        return f"{text[: width - 1]}…"
    return f"{name[: width - len(times + number) - 1]}…{times}{number}"


_STYLES_BY_WORD = {str(verdict): style for verdict, style in STYLES.items()}


# --- below it -------------------------------------------------------------------------------


def _because(phase: PhaseFigures, colour: bool) -> list[str]:
    """`hang BILLING_URL (3 s, 5 % of exchanges), frozen: witness p99 2.90 s`"""
    agreed = (
        f" in {phase.agreed} of {phase.repeats} repeats" if phase.agreed < phase.repeats else ""
    )
    fault = phase.fault.removeprefix(phase.name).removeprefix(": ")
    said = f"{phase.name}{f' ({fault})' if fault else ''}, {phase.verdict}{agreed}"
    first, *rest = wrapped(f"{said}: {because_text(phase)}" if phase.because else said, WIDTH - 4)
    verdict = str(phase.verdict)
    painted = first.replace(verdict, paint(verdict, STYLES[phase.verdict], colour), 1)
    return [f"  {painted}", *(f"    {line}" for line in rest)]


def _no_harm(run: Run) -> Iterator[Row]:
    """`seen  US102 shop/stock.py:9 requests.api.get, GET /stock; exercised under hang STOCK_URL`"""
    found = no_harm(run)
    for number, each in enumerate(found[:_MOST_CULPRITS]):
        site, entry = each.site, each.entry
        where = f" {site.file}:{site.line} {site.call}" if site else f" {each.title}"
        tried = [evidence.fault for evidence in each.evidence if evidence.kind == "exercised"]
        under = f"; exercised under {', '.join(filter(None, tried))}" if tried else ""
        said = (
            f"{each.code}{where}{f', {entry.name}' if entry else ''}: on the loop, and fast{under}"
        )
        yield Row("seen" if number == 0 else "", said)
    if (more := len(found) - _MOST_CULPRITS) > 0:
        yield Row("", f"and {counted(more, 'more call')}: --json has all")


def _deciding(run: Run, changes: Sequence[Change]) -> Iterator[Row]:
    if said := gate_line(run, changes):
        yield Row("gate", said, "bold")
    for judged in run.thresholds:
        word = judged_word(judged)
        yield Row(word, judged_line(judged), "" if word == "held" else _WORDS[word])
    for change in regressions(changes):
        yield Row("worse", change_line(change), "bad")
    better = [each for each in changes if each.direction is Direction.IMPROVEMENT]
    for change in better[:_MOST_CHANGES]:
        yield Row("better", change_line(change), "good")
    if unknown := [each for each in changes if each.direction is Direction.UNKNOWN]:
        yield Row("unknown", unknown_line(unknown))


def unknown_line(changes: Sequence[Change]) -> str:
    """`6 figures, as healthy: checkout.p99_ms, for 463 before are too few for a p99: 500 are needed`"""
    first = changes[0]
    number = counted(len(changes), "figure")
    return f"{number}, as {first.phase}: {first.metric}, for {first.because}"


def change_line(change: Change) -> str:
    """`healthy: checkout.p99_ms 12 ms to 24 ms (+60% to +130%)`"""
    return f"{change.phase}: {change.metric} {change_values(change)} ({change.because})"


def _unseen(run: Run) -> Iterator[Row]:
    for number, each in enumerate(run.unexercised[:_MOST_UNEXERCISED]):
        yield Row("not asked" if number == 0 else "", f"{each.route}: {each.why}")
    if (more := len(run.unexercised) - _MOST_UNEXERCISED) > 0:
        yield Row("", f"and {counted(more, 'more route')}: --format json has all")
    for number, gap in enumerate(run.gaps):
        yield Row("gaps" if number == 0 else "", gap)
