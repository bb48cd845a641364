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
        ("pyqrcode.create", Cost.MS),
        ("pyqrcode.QRCode.svg", Cost.MS),
        ("pywebpush.WebPusher.send", Cost.UNBOUNDED),
        ("jsonpath_ng.parse", Cost.MS),
        ("jsonpath_ng.ext.parser.parse", Cost.MS),
        ("jsonpath_ng.JSONPath.find", Cost.US),
        ("pyln.client.LightningRpc.listfunds", Cost.UNBOUNDED),
        ("pyln.client.lightning.LightningRpc.call", Cost.UNBOUNDED),
    ],
)
def test_it_blocks(name: str, cost: Cost) -> None:
    row = row_for(name)

    assert row is not None
    assert (row.effect, row.cost) == (Effect.BLOCKS, cost)


@pytest.mark.parametrize(
    "name",
    [
        "pywebpush.webpush_async",
        "pywebpush.WebPusher.send_async",
        "pyln.client.LightningRpc.reply_filter",
    ],
)
def test_it_is_clean(name: str) -> None:
    row = row_for(name)

    assert row is not None
    assert row.effect is Effect.CLEAN


@pytest.mark.parametrize(("given", "blocks"), [({}, True), ({"curl": "True"}, False)])
def test_a_push_that_is_only_written_as_a_command_waits_for_nobody(
    given: dict[str, str], blocks: bool
) -> None:
    row = row_for("pywebpush.webpush")

    assert row is not None
    assert row.holds(given) is blocks


def test_what_small_libraries_give_is_known() -> None:
    source = """
        import pyqrcode
        from jsonpath_ng.ext import parse
        from pyln.client import LightningRpc
        node = LightningRpc("/run/rpc")
        PATH = parse("$.a")
        @app.get("/")
        async def a(path: str, data: dict):
            pyqrcode.create(path).svg("a.svg")
            PATH.find(data)
            parse(path).find(data)
            return node.listinvoices(path)
    """

    assert sites(source) == [
        "a jsonpath_ng.ext.parse",
        "a pyln.client.LightningRpc.listinvoices",
        "a pyqrcode.create",
    ]


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
        async def speak(frame):
            Writer.write(Writer(frame), frame)
    """

    assert "Writer.write av.stream.Stream.encode" in sites(source)


@pytest.mark.parametrize(
    ("arguments", "blocks"), [("CONFIG, 'head'", True), ("CONFIG, 'head', sql=True", False)]
)
def test_migrations_run_wherever_the_folder_of_their_scripts_is(
    arguments: str, blocks: bool
) -> None:
    source = f"""
        from alembic import command
        from alembic.migration import MigrationContext
        @app.post("/")
        async def migrate(connection):
            command.upgrade({arguments})
            MigrationContext.configure(connection).get_current_heads()
    """
    scripts = {"alembic/env": "from alembic import context", "alembic/versions/a": ""}
    upgrade = ["migrate alembic.command.upgrade"] if blocks else []
    heads = "migrate alembic.migration.MigrationContext.get_current_heads"

    assert sites(source, **scripts) == [*upgrade, heads]


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


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("mypy_boto3_s3.S3Client.put_object", Effect.BLOCKS),
        ("mypy_boto3_s3.client.S3Client.put_object", Effect.BLOCKS),
        ("mypy_boto3_s3.client.S3Client.generate_presigned_url", Effect.CLEAN),
        ("types_boto3_sqs.client.SQSClient.send_message", Effect.BLOCKS),
        ("types_boto3_s3.waiter.BucketExistsWaiter.wait", Effect.BLOCKS),
        ("types_boto3_dynamodb.service_resource.Table.put_item", Effect.BLOCKS),
        ("types_aiobotocore_s3.S3Client.put_object", Effect.CLEAN),
        ("types_aiobotocore_s3.client.S3Client.put_object", Effect.CLEAN),
        ("mypy_boto3_s3.type_defs.ObjectTypeDef.get", None),
        ("mypy_boto3.Session.client", None),
    ],
)
def test_what_stubs_of_sdks_name_is_that_sdk(name: str, effect: Effect | None) -> None:
    row = row_for(name)

    assert (row and row.effect) == effect


def test_a_method_of_a_tree_of_attributes_has_its_own_name() -> None:
    source = """
        from twilio.rest import Client
        client = Client("a", "b")
        @app.get("/")
        async def a(text: str):
            client.messages.create(body=text)
    """
    assert sites(source) == ["a twilio.rest.Client.messages.create"]


def test_an_instance_that_is_called_is_told_from_its_making() -> None:
    source = """
        import kokoro, torch
        pipeline = kokoro.KPipeline("a")
        class Net(torch.nn.Module): ...
        net = Net()
        @app.get("/")
        async def a(text: str):
            kokoro.KPipeline("b")
            net(text)
            return [part for part in pipeline(text)]
    """
    assert sites(source) == [
        "a kokoro.KPipeline",
        "a kokoro.KPipeline.__call__",
        "a torch.nn.Module",
    ]
