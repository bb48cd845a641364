"""Rows that services of the second kind need: speech, sound, the system, sessions of frameworks."""

from __future__ import annotations

import pytest

from tests.audit.reading import sites
from unstall.catalog.row import Cost, Effect
from unstall.catalog.table import attribute, returns, row_for


@pytest.mark.parametrize(
    ("given", "blocks"),
    [({"interval": "1"}, True), ({"0": "0.5"}, True), ({}, False), ({"interval": "None"}, False)],
)
def test_a_look_at_the_processor_waits_only_for_an_interval(
    given: dict[str, str], blocks: bool
) -> None:
    row = row_for("psutil.cpu_percent")

    assert row is not None
    assert row.holds(given) is blocks


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("TTS.api.TTS.tts_to_file", Cost.UNBOUNDED),
        ("kokoro.KPipeline.__call__", Cost.UNBOUNDED),
        ("GPUtil.getGPUs", Cost.UNBOUNDED),
        ("av.stream.Stream.encode", Cost.MS),
        ("markdownify.markdownify", Cost.MS),
        ("tiktoken.encoding_for_model", Cost.MS),
        ("psutil.virtual_memory", Cost.US),
    ],
)
def test_it_blocks(name: str, cost: Cost) -> None:
    row = row_for(name)

    assert row is not None
    assert (row.effect, row.cost) == (Effect.BLOCKS, cost)


def test_sessions_of_frameworks_are_known() -> None:
    assert attribute("fastapi_sqlalchemy.db.session") == ("sqlalchemy.orm.Session",)
    assert attribute("fastapi_async_sqlalchemy.db.session") == (
        "sqlalchemy.ext.asyncio.AsyncSession",
    )
    assert returns("langchain_core.runnables.Runnable.configurable_fields") == (
        "langchain_core.runnables.Runnable",
    )


def test_an_encoder_of_a_container_is_found() -> None:
    source = """
        import av
        class Writer:
            def __init__(self, target):
                self.container = av.open(target, "w")
                self.stream = self.container.add_stream("mp3")
            def write(self, frame):
                return self.stream.encode(frame)
        @app.get("/")
        def make(): ...
        async def speak(frame):
            Writer.write(Writer(frame), frame)
    """

    assert "Writer.write av.stream.Stream.encode" in sites(source)


def test_lines_written_in_memory_are_clean() -> None:
    source = """
        import csv, io
        @app.get("/")
        async def route(rows: list[dict]):
            target = io.StringIO()
            writer = csv.DictWriter(target, fieldnames=["a"])
            writer.writeheader()
            for row in rows:
                writer.writerow(row)
            return target.getvalue()
    """

    assert sites(source) == []
