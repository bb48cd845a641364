"""What is opened in memory is cheap where its use is seen, and dear where somebody unknown has it."""

from __future__ import annotations

import pytest

from tests.audit.reading import found, sites
from unstall.model.finding import Confidence

HEAD = """
from functools import partial
import bz2, csv, gzip, io, lzma, tarfile, wave, zipfile
import numpy as np
import torch
import torchvision
import vision
from PIL import Image
from fastapi import UploadFile
"""


def _told(source: str, **others: str) -> list[str]:
    return sites(HEAD + source, **others)


@pytest.mark.parametrize(
    ("used", "call"),
    [
        ("for line in f: print(line)", "gzip.GzipFile"),
        ("f.read1(100)", "gzip.GzipFile.read1"),
        ("f.readlines()", "gzip.GzipFile.readlines"),
        ("f.readinto(target)", "gzip.GzipFile.readinto"),
        ("for part in iter(partial(f.read, 4096), b''): print(part)", "gzip.GzipFile.read"),
        ("for row in csv.DictReader(f): print(row)", "gzip.GzipFile"),
        ("rows = csv.reader(f)\n        print(list(rows))", "gzip.GzipFile"),
    ],
)
def test_unpacking_what_is_in_memory_is_told_where_it_happens(used: str, call: str) -> None:
    source = f"""
@app.post("/")
async def a(file: UploadFile, target: bytearray):
    with gzip.open(io.BytesIO(await file.read()), "rt") as f:
        {used}
"""
    assert _told(source) == [f"a {call}"]


def test_what_is_called_until_it_gives_nothing_is_called() -> None:
    source = """
@app.post("/")
async def a(body: bytes):
    f = gzip.open(io.BytesIO(body))
    return [len(part) for part in iter(lambda: f.read(4096), b"")]
"""
    assert [each.partition(" ")[2] for each in _told(source)] == ["gzip.GzipFile.read"]


@pytest.mark.parametrize("module", ["bz2", "lzma"])
def test_other_packers_are_iterated_as_well(module: str) -> None:
    source = f"""
@app.post("/")
async def a(body: bytes):
    return [line for line in {module}.open(io.BytesIO(body))]
"""
    assert len(_told(source)) == 1


def test_samples_of_a_sound_in_memory_are_only_copied() -> None:
    source = """
@app.post("/")
async def a(body: bytes):
    return wave.open({opened}).readframes(100)
"""
    assert _told(source.format(opened="io.BytesIO(body)")) == []
    assert _told(source.format(opened="str(body)")) == ["a wave.open"]


def test_functions_that_hand_on_to_each_other_come_to_an_end() -> None:
    source = """
def first(picture): return second(picture), second(picture), first(picture)
def second(picture): return first(picture), {}
@app.post("/")
async def a(body: bytes):
    return first(Image.open(io.BytesIO(body)))
"""
    assert _told(source.format("picture.size")) == []
    assert _told(source.format("vision.measure(picture)")) == ["a PIL.Image.open"]


def test_whether_bytes_are_a_tar_file_is_asked_by_unpacking() -> None:
    source = """
@app.post("/")
async def a(body: bytes):
    return tarfile.is_tarfile(io.BytesIO(body))
"""
    assert _told(source) == ["a tarfile.is_tarfile"]


@pytest.mark.parametrize(
    "used",
    [
        "vision.measure(image)",
        "vision.measure(pictures=[image])",
        "torchvision.transforms.Compose([])(image)",
        "model.preprocess(image)",
        "same = image\n    vision.measure(same)",
        "vision.measure(image if body else None)",
        "vision.measure(image.load)",
        "if isinstance(image, Image.Image):\n        vision.measure(image)",
        "vision.measure(([image] + [])[0])",
        "for name in body:\n        vision.measure(last) if name else None\n        last = image",
        "again = {'image': image}\n    vision.measure(**again)",
        "show(image)",
        "holder = Holder()\n    holder.image = image\n    vision.measure(holder.image)",
    ],
)
def test_what_somebody_unknown_is_handed_stays_dear(used: str) -> None:
    source = f"""
class Holder:
    image: Image.Image
def show(picture):
    vision.measure(picture)
@app.post("/")
async def a(body: bytes, model=None):
    image = Image.open(io.BytesIO(body))
    {used}
"""
    assert _told(source) == ["a PIL.Image.open"]


@pytest.mark.parametrize(
    ("body", "dear"),
    [
        ("return picture.size", False),
        ("return vision.measure(picture)", True),
        ("return wide(other=picture)", False),
        ("return wide(picture, vision.measure(picture))", True),
        ("return size(picture) if other else picture.size", False),
        ("return Sizes().add(picture)", False),
        ("return Sizes().measured(picture)", True),
    ],
)
def test_own_functions_are_followed(body: str, dear: bool) -> None:
    source = f"""
class Sizes:
    def add(self, picture): return picture.size
    def measured(self, picture): return vision.measure(picture)
def wide(other, more=0): return other.size[0] > more
def size(picture, other=0):
    {body}
@app.post("/")
async def a(body: bytes):
    return size(Image.open(io.BytesIO(body)))
@app.post("/other")
async def other(image: Image.Image):
    return vision.measure(image)
"""
    assert _told(source) == (["a PIL.Image.open"] if dear else [])


def test_what_a_helper_opens_is_followed_by_its_class() -> None:
    source = """
def opened(d):
    return Image.open(io.BytesIO(d))
@app.post("/")
async def a(body: bytes):
    return vision.measure(opened(body))
"""
    assert _told(source) == ["opened PIL.Image.open"]


@pytest.mark.parametrize(
    "used",
    [
        "return image.size",
        "return vision.measure(image.size)",
        "return {'wide': image.size[0], 'mode': image.mode}",
        "if image: return vision.measure(image.format)",
        "print(len(body), image)",
        "return await asyncio.to_thread(vision.measure, image)",
        "return await asyncio.to_thread(image.load)",
        "return [vision.measure(image) for image in vision.named(body)]",
        "image = vision.named(body)\n    return vision.measure(image)",
    ],
)
def test_what_is_only_asked_for_its_header_is_cheap(used: str) -> None:
    source = f"""
import asyncio
@app.post("/")
async def a(body: bytes):
    image = Image.open(io.BytesIO(body))
    {used}
"""
    assert _told(source) == []


@pytest.mark.parametrize(
    "opened",
    [
        "zipfile.ZipFile(io.BytesIO(body))",
        "tarfile.open(fileobj=io.BytesIO(body))",
        "gzip.GzipFile(fileobj=io.BytesIO(body))",
    ],
)
def test_archives_are_handed_on_like_pictures(opened: str) -> None:
    source = """
@app.post("/")
async def a(body: bytes):
    with {opened} as f:
        {used}
"""
    assert len(_told(source.format(opened=opened, used="vision.unpack(f)"))) == 1
    assert _told(source.format(opened=opened, used="print(f)")) == []


# What an argument only can be


PICTURE = """
def read_image(d):
    return Image.open(io.BytesIO(d))
def to_array(img):
    return np.array(img)
@app.post("/")
async def a(body: bytes):
    return to_array({given}).mean()
"""


def test_a_picture_that_callers_pass_is_likely_decoded() -> None:
    [told] = [each for each in found(HEAD + PICTURE.format(given="read_image(body)"))
              if each.impact != "trivial"]  # fmt: skip

    assert told.site is not None
    assert (told.site.function, told.site.call) == ("to_array", "numpy.array")
    assert told.confidence is Confidence.LIKELY


@pytest.mark.parametrize("given", ["[1.0]", "vision.numbers(body)", "body"])
def test_what_is_no_picture_is_not_decoded(given: str) -> None:
    assert found(HEAD + PICTURE.format(given=given)) == []


@pytest.mark.parametrize(
    "made", ["np.stack([img, img])", "np.array([img])", "np.concatenate((img,))"]
)
def test_pictures_in_a_list_are_decoded(made: str) -> None:
    source = f"""
@app.post("/")
async def a(body: bytes):
    img = Image.open(io.BytesIO(body))
    return {made}
"""
    assert _told(source) == [f"a numpy.{made[3:].partition('(')[0]}"]


@pytest.mark.parametrize("asked", ["getdata()", "getpixel((0, 0))", "getbbox()", "copy()"])
def test_asking_for_pixels_decodes(asked: str) -> None:
    source = f"""
@app.post("/")
async def a(body: bytes):
    return Image.open(io.BytesIO(body)).{asked}
"""
    assert _told(source) == [f"a PIL.Image.Image.{asked.partition('(')[0]}"]


# Models


def test_a_model_that_is_loaded_takes_as_long_as_it_likes() -> None:
    source = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
@asynccontextmanager
async def lifespan(app):
    app.state.model = torch.load("model.pt")
    yield
app = FastAPI(lifespan=lifespan)
@app.post("/")
async def a(name: str):
    torch.cuda.synchronize()
    torch.load(name)
    torch.save({}, name)
"""
    impacts = {
        (each.runs_on, each.site.call): each.impact for each in found(HEAD + source) if each.site
    }
    assert impacts == {
        ("start-up", "torch.load"): "high",
        ("loop", "torch.cuda.synchronize"): "high",
        ("loop", "torch.load"): "high",
        ("loop", "torch.save"): "low",
    }
