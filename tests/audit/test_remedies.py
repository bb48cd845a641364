"""A remedy is one sentence that says each thing once."""

from __future__ import annotations

import re
from textwrap import indent

import pytest

from tests.audit.reading import found
from unstall.audit.remedies import remedy_of
from unstall.catalog.row import Effect, Row
from unstall.catalog.table import default
from unstall.model.finding import Finding
from unstall.rules import BY_CODE


@pytest.mark.parametrize(
    ("code", "instead", "said"),
    [
        ("US101", "await asyncio.sleep(…)", "await asyncio.sleep(…)"),
        ("US104", "redis.asyncio.Redis",
         "use redis.asyncio.Redis, or call it in anyio.to_thread.run_sync with a limiter"),
        ("US103", "aiomysql, or asyncmy", "use aiomysql, or asyncmy; or make the route a plain def"),
        ("US202", "anyio.to_thread.run_sync", "use anyio.to_thread.run_sync"),
        ("US204", "load it at start-up", "load it at start-up"),
        ("US102", "", BY_CODE["US102"].remedy),
    ],
)  # fmt: skip
def test_the_asynchronous_way_stands_first(code: str, instead: str, said: str) -> None:
    assert remedy_of(Row("a.b", Effect.BLOCKS, code, instead=instead)) == said


def test_no_remedy_of_the_catalog_says_a_thing_twice() -> None:
    rows = [row for row in default().rows.values() if row.effect is Effect.BLOCKS and row.instead]
    said = {remedy_of(row) for row in rows}

    names = [re.findall(r"[a-z_]+(?:\.\w+)+", text) for text in said]
    assert [each for each in names if len(each) != len(set(each))] == []
    assert [text for text in said if text.endswith(".") or "use use" in text] == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("with open(p) as f:\n    return f.read()", "use anyio.open_file(…)"),
        ("with open(p) as f:\n    return [line for line in f]", "use anyio.open_file(…)"),
        ("f = open(p)\nf.close()", "use anyio.open_file(…)"),
        ("with open(p) as f:\n    text = f.read()\nreturn [len(f) for f in text.split()]",
         "use anyio.open_file(…)"),
        ("with open(p) as f:\n    text = f.read()\nfor f in text.split():\n    print(f)",
         "use anyio.open_file(…)"),
        ("with open(p) as f:\n    await client.post(files={'file': f})", "open and read it"),
        ("f = open(p)\nmore = {'file': f}", "open and read it"),
        ("return json.load(open(p))", "open and read it"),
        ("with open(p) as f:\n    g = f\n    json.load(g)", "open and read it"),
        ("with open(p, 'w') as f:\n    json.dump({}, f)", "open and write it"),
        ("with open(p, mode='ab') as f:\n    json.dump({}, f)", "open and write it"),
        ("with Path(p).open('w') as f:\n    json.dump({}, f)", "open and write it"),
        ("with open(p, q) as f:\n    json.dump({}, f)", "open and use it"),
        ("with open(p, 'wb') as f:\n    shutil.copyfileobj(file.file, f)", "open and copy it"),
    ],
)  # fmt: skip
def test_an_asynchronous_file_is_for_who_can_await_it(source: str, said: str) -> None:
    told = [each for each in _in_a_route(source) if each.site and "open" in each.site.call]

    assert len(told) == 1
    assert told[0].remedy is not None
    assert said in told[0].remedy.summary


def _in_a_route(source: str) -> list[Finding]:
    """Of an async function with a path, a mode and an upload."""
    body = indent(source, "    ")
    return found(
        "import json, shutil\nfrom pathlib import Path\nfrom fastapi import UploadFile\n"
        f"@app.post('/')\nasync def a(p: str, q: str, file: UploadFile, client=None):\n{body}\n"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sqlalchemy.orm.Session.commit",
         "await session.commit(…) of sqlalchemy.ext.asyncio.AsyncSession, or make the route a plain def"),
        ("sqlalchemy.orm.Session.scalar", "await session.scalar(…)"),
        ("sqlalchemy.orm.Session.bulk_save_objects", "await session.run_sync(…)"),
        ("langchain_core.runnables.Runnable.batch", "use abatch"),
        ("langchain_core.runnables.Runnable.invoke", "use ainvoke"),
        ("langchain_core.language_models.BaseChatModel.generate", "use agenerate"),
        ("langchain_core.embeddings.Embeddings.embed_query", "use aembed_query"),
        ("jwt.PyJWKClient.get_signing_key", "build a jwt.PyJWKSet of them"),
        ("json.load", "read the file in anyio.to_thread.run_sync"),
        ("json.dump", "write the file in anyio.to_thread.run_sync"),
        ("yaml.safe_load", "use yaml.CSafeLoader and a bound on the size"),
        ("yaml.dump", "use yaml.CSafeDumper and a bound on the size"),
        ("kokoro.KPipeline.__call__", "around the whole loop"),
        ("kokoro.KPipeline.generate_from_tokens", "around the whole loop"),
        ("faster_whisper.WhisperModel.transcribe", "around the whole loop"),
        ("starlette.datastructures.UploadFile.file.read", "await file.read(…) of the UploadFile itself"),
        ("starlette.datastructures.UploadFile.file.write", "await file.write(…) of the UploadFile itself"),
    ],
)  # fmt: skip
def test_a_remedy_is_that_of_the_very_call(name: str, said: str) -> None:
    row = default().row_for(name)

    assert row is not None
    assert said in remedy_of(row)


@pytest.mark.parametrize("client", ["requests", "httpx"])
@pytest.mark.parametrize("method", "get post put patch delete head options request".split())
def test_a_request_is_sent_by_the_same_method(client: str, method: str) -> None:
    row = default().row_for(f"{client}.{method}")
    assert row is not None
    assert remedy_of(row).startswith(f"await httpx.AsyncClient().{method}(…), with one")
