"""What a call is given decides what it costs; where only callers know, it is doubted, not accused."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import found
from unstall.model.finding import Confidence

SOURCE = """
import gzip, io
from io import BytesIO
from typing import IO, BinaryIO, Optional
from PIL import Image
from fastapi import UploadFile

def get(): ...
def work({parameter}):
    {before}
    return Image.open(file).size

{middle}
@app.post("/")
async def route(data: bytes, upload: UploadFile):
    {call}
"""
MIDDLE = "def middle(file: BinaryIO):\n    return work(file)\n"


def told(
    parameter: str, *given: str, before: str = "pass", call: str = "work"
) -> tuple[Confidence, str | None]:
    text = dedent(SOURCE).replace("{parameter}", parameter).replace("{before}", before)
    calls = "\n    ".join(f"{call}({each})" for each in given)
    text = text.replace("{middle}", MIDDLE if call == "middle" else "")
    (opened,) = (each for each in found(text.replace("{call}", calls)) if each.site)
    return opened.confidence, opened.impact


CERTAIN, LIKELY, POSSIBLE = ((each, "low") for each in Confidence)
IN_MEMORY = (Confidence.CERTAIN, "trivial")
MEMORY, FILE, UNKNOWN, PATH = "BytesIO(data)", "upload.file", "get()", "'a.png'"
FILES = ["file", "file: BinaryIO", "file: IO[bytes]", "file: io.BufferedIOBase"]


@pytest.mark.parametrize("parameter", FILES)
def test_what_callers_pass_says_whether_it_is_opened_in_memory(parameter: str) -> None:
    assert told(parameter, MEMORY) == POSSIBLE
    assert told(parameter, MEMORY, MEMORY) == POSSIBLE
    assert told(parameter, MEMORY, FILE) == LIKELY
    assert told(parameter, MEMORY, UNKNOWN) == LIKELY
    assert told(parameter, FILE) == CERTAIN
    assert told(parameter, UNKNOWN) == CERTAIN
    assert told(parameter, PATH) == CERTAIN


def test_callers_of_callers_are_asked() -> None:
    assert told("file: BinaryIO", MEMORY, call="middle") == POSSIBLE
    assert told("file: BinaryIO", MEMORY, FILE, call="middle") == LIKELY
    assert told("file: BinaryIO", FILE, call="middle") == CERTAIN


WRAPPED = "file = BytesIO(file) if isinstance(file, bytes) else file"
WRAPPED_IF = "if isinstance(file, bytes): file = BytesIO(file)"


@pytest.mark.parametrize("before", [WRAPPED, WRAPPED_IF])
def test_data_beside_a_file_in_memory_is_put_into_one(before: str) -> None:
    assert told("file: bytes | BytesIO", "data", before=before) == POSSIBLE
    assert told("file: str | BytesIO", "get()", before=before) == LIKELY


@pytest.mark.parametrize("before", ["file = BytesIO(data) if data else None", "file = BytesIO()"])
def test_none_is_no_file(before: str) -> None:
    before = f"data = get()\n    {before}"
    assert told("data", "1", before=before) in (POSSIBLE, IN_MEMORY)
    assert told("data", "1", before=before.replace("BytesIO", "get")) == CERTAIN


@pytest.mark.parametrize("parameter", ["file: BytesIO", "file: Optional[BytesIO] = None"])
def test_an_annotation_that_names_it_is_believed(parameter: str) -> None:
    assert told(parameter, UNKNOWN) == IN_MEMORY


def test_what_is_handed_on_to_who_knows_is_not_cheap() -> None:
    text = dedent(SOURCE).replace("{parameter}", "file").replace("{before}", "pass")
    text = text.replace("{call}", f"work({MEMORY})").replace("{middle}", "").replace(").size", ")")
    handed = text.replace("return Image.open(file)", "return get.show(Image.open(file))")
    opened = [each for each in found(handed) if each.site and each.site.call.endswith("open")]
    assert [each.confidence for each in opened] == [Confidence.CERTAIN]


def test_what_is_read_at_once_stays_likely() -> None:
    """How long that takes depends on how much there is; what is opened is read where it is used."""
    text = dedent(SOURCE).replace("{parameter}", "file: BinaryIO").replace("{before}", "pass")
    text = text.replace("{call}", f"work({MEMORY})").replace("{middle}", "import soundfile")
    read = text.replace("Image.open(file).size", "soundfile.read(file, format='RAW')")
    assert [(each.confidence, each.impact) for each in found(read)] == [LIKELY]
