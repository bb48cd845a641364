"""Which lines belong together."""

from __future__ import annotations

from unstall.triage.spans import Lines, Spans, spans_by_file, spans_of

SOURCE = """\
@route(
    "/x",
)
async def outer(
    a,
):
    with open(
        a
    ) as f:
        f.read()

    def inner():
        return 1

    match a:
        case 1:
            pass
"""


def test_a_function_begins_with_its_decorators() -> None:
    inner, outer = spans_of(SOURCE).around(13)
    assert (outer.head, outer.whole) == (Lines(1, 6), Lines(1, 17))
    assert (inner.head, inner.whole) == (Lines(12, 12), Lines(12, 13))


def test_a_line_outside_has_no_function() -> None:
    assert spans_of("x = 1\n").around(1) == []


def test_of_a_compound_statement_only_the_head_belongs_together() -> None:
    spans = spans_of(SOURCE)
    assert spans.statement(8) == Lines(7, 9)
    assert spans.statement(10) == Lines(10, 10)
    assert spans.statement(15) == Lines(15, 15)
    assert spans.statement(99) == Lines(99, 99)


def test_what_cannot_be_parsed_has_no_spans_and_newer_syntax_has() -> None:
    assert spans_of("def (") == Spans()
    assert spans_of("\x00") == Spans()
    assert spans_of("try:\n    f()\nexcept A, B:\n    g()\n").statement(4) == Lines(4, 4)


def test_lines_overlap_where_they_share_one() -> None:
    assert Lines(1, 3).overlaps(Lines(3, 9))
    assert not Lines(1, 3).overlaps(Lines(4, 9))


def test_a_file_is_read_once() -> None:
    asked: list[str] = []

    def read(file: str) -> str | None:
        asked.append(file)
        return SOURCE if file == "a.py" else None

    spans = spans_by_file(read)
    assert spans("a.py") is spans("a.py")
    assert spans("gone.py") == Spans()
    assert asked == ["a.py", "gone.py"]
