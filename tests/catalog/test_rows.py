"""The rows that unstall brings: what they must say, and their clean twins."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from unstall.catalog.reading import Facts
from unstall.catalog.row import Effect
from unstall.catalog.table import (
    attribute,
    bases,
    canonical,
    default,
    enters,
    iterates,
    read,
    returns,
    row_for,
)
from unstall.rules import BY_CODE

FILES: dict[str, Facts] = {
    file.name: read(tomllib.loads(file.read_text(encoding="utf-8")), file.name)
    for file in files("unstall.catalog").joinpath("rows").iterdir()
    if file.name.endswith(".toml")
}


def test_every_code_is_a_rule() -> None:
    codes = {row.code for row in default().rows.values() if row.effect is Effect.BLOCKS}
    assert codes <= set(BY_CODE)


def test_no_two_files_speak_of_the_same_call() -> None:
    said: dict[tuple[str, str], str] = {}
    twice = [
        (row.name, row.via, said[row.name, row.via], name)
        for name, facts in FILES.items()
        for row in facts.rows
        if said.setdefault((row.name, row.via), name) != name
    ]
    assert twice == []


def test_a_fact_stands_under_its_public_name() -> None:
    names = {row.name for row in default().facts.rows}
    for table in (default().facts.returns, default().facts.attributes, default().facts.bases):
        names |= table.keys()
    bare = {name.removesuffix("*").removesuffix("*").removesuffix(".") for name in names}
    assert {name: canonical(name) for name in bare if canonical(name) != name} == {}


def test_a_public_name_is_the_end_of_the_way() -> None:
    names = default().facts.canonical
    assert {name: public for name, public in names.items() if canonical(public) != public} == {}


def test_bases_come_to_an_end() -> None:
    for name in default().facts.bases:
        seen, waiting = set(), [name.removesuffix(".*")]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += bases(current)
        assert len(seen) < 8, name


def test_what_waits_for_somebody_else_says_what_to_do_or_by_when_it_ends() -> None:
    """Of calls, in the groups that people meet most."""
    silent = [
        row.name
        for row in default().rows.values()
        if row.effect is Effect.BLOCKS
        and row.code in ("US101", "US102", "US104")
        and row.via == "call"
        and not (row.instead or row.time_out)
    ]
    assert silent == []


BLOCKS = """
    time.sleep requests.get requests.Session.post httpx.get httpx.Client.send httpx2.Client.get
    urllib.request.urlopen urllib3.PoolManager.request socket.getaddrinfo subprocess.run
    subprocess.Popen.communicate os.system builtins.open io.TextIOWrapper.read os.listdir os.replace
    pathlib.Path.read_text shutil.copyfileobj tempfile.NamedTemporaryFile json.load pickle.load
    sqlalchemy.orm.Session.execute sqlalchemy.orm.Session.commit sqlalchemy.orm.Query.first
    sqlalchemy.Connection.execute sqlalchemy.Engine.connect sqlmodel.Session.exec
    alembic.command.upgrade alembic.migration.MigrationContext.get_current_heads
    psycopg2.connect psycopg2.extensions.cursor.execute psycopg2.extensions.connection.commit
    psycopg.Cursor.execute pymysql.cursors.Cursor.execute sqlite3.Cursor.fetchall
    peewee.Model.create peewee.Select.first peewee.Database.execute_sql
    django.db.models.QuerySet.first django.db.models.Model.save
    pymongo.collection.Collection.find_one redis.Redis.get redis.client.Pipeline.execute
    elasticsearch.Elasticsearch.search elasticsearch.Elasticsearch.indices.create
    neo4j.Session.run botocore.client.BaseClient.put_object boto3.resources.base.ServiceResource.put_item
    google.cloud.storage.Blob.upload_from_string azure.storage.blob.BlobClient.upload_blob
    docker.models.containers.Container.stop docker.models.containers.ContainerCollection.run
    kubernetes.client.CoreV1Api.list_namespaced_pod kafka.KafkaProducer.flush confluent_kafka.Producer.flush
    pika.BlockingConnection celery.app.task.Task.delay celery.result.AsyncResult.get
    grpc.UnaryUnaryMultiCallable.__call__ smtplib.SMTP.sendmail paramiko.SSHClient.exec_command
    ldap3.Connection.search openai.OpenAI.chat.completions.create anthropic.Anthropic.messages.create
    langchain_core.vectorstores.VectorStore.similarity_search langchain_core.embeddings.Embeddings.embed_query
    qdrant_client.QdrantClient.upsert pinecone.Index.query tiktoken.Encoding.encode
    pypdf.PageObject.extract_text docx2txt.process pptx.Presentation PIL.Image.Image.save
    pandas.read_csv numpy.load torch.nn.Module.__call__ whisper.model.Whisper.transcribe
    bcrypt.hashpw argon2.PasswordHasher.verify passlib.context.CryptContext.verify hashlib.pbkdf2_hmac
    zipfile.ZipFile.extractall gzip.compress bs4.BeautifulSoup
    concurrent.futures.Future.result threading.Event.wait queue.Queue.get threading.Thread.join
    concurrent.futures.Executor.shutdown multiprocessing.pool.Pool.map
    tenacity.Retrying.__call__ git.Repo.clone_from ffmpeg.run pytesseract.image_to_string
""".split()

CLEAN = """
    httpx.AsyncClient.get httpx2.AsyncClient.post aiohttp.ClientSession.get httpx.Response.json
    requests.Response.json os.path.join os.path.abspath os.path.normpath os.path.relpath
    pathlib.PurePath.with_suffix io.BytesIO.read io.StringIO.write starlette.responses.FileResponse
    fastapi.responses.StreamingResponse fastapi.UploadFile.read starlette.datastructures.UploadFile.read
    sqlalchemy.orm.Session.add sqlalchemy.orm.Session.query sqlalchemy.Result.all sqlalchemy.select
    sqlalchemy.ext.asyncio.AsyncSession.execute sqlalchemy.ext.asyncio.AsyncSession.run_sync
    sqlalchemy.create_engine psycopg.AsyncConnection.execute asyncpg.Connection.fetch
    redis.asyncio.Redis.get redis.Redis.pipeline redis.client.Pipeline.set
    pymongo.collection.Collection.find motor.motor_asyncio.AsyncIOMotorClient
    pymongo.AsyncMongoClient beanie.Document.find elasticsearch.AsyncElasticsearch.search
    botocore.client.BaseClient.generate_presigned_url botocore.client.BaseClient.get_paginator
    aioboto3.Session.client google.cloud.storage.Bucket.blob google.cloud.firestore.AsyncClient.document
    azure.storage.blob.aio.BlobClient.upload_blob kubernetes_asyncio.client.CoreV1Api.list_node
    aiokafka.AIOKafkaProducer.send confluent_kafka.Producer.produce aio_pika.connect_robust
    grpc.aio.insecure_channel
    openai.AsyncOpenAI.chat.completions.create anthropic.AsyncAnthropic.messages.create
    langchain_core.embeddings.Embeddings.aembed_query langchain_core.prompts.BasePromptTemplate.invoke
    qdrant_client.AsyncQdrantClient.upsert peewee.Model.select bcrypt.gensalt hashlib.sha256
    queue.Queue.get_nowait asyncio.Task.result threading.Event.set logging.getLogger uuid.uuid4
    playwright.async_api.Page.goto supabase.AsyncClient.table subprocess.Popen.poll
""".split()


@pytest.mark.parametrize("name", BLOCKS)
def test_it_blocks(name: str) -> None:
    row = row_for(name)
    assert row is not None
    assert row.effect is Effect.BLOCKS
    assert row.cost != "us"


@pytest.mark.parametrize("name", CLEAN)
def test_its_look_alike_does_not(name: str) -> None:
    row = row_for(name)
    assert row is not None
    assert row.effect is Effect.CLEAN


@pytest.mark.parametrize(
    ("name", "via"),
    [
        ("os.walk", "iterate"),
        ("pathlib.Path.glob", "iterate"),
        ("sqlalchemy.orm.Query", "iterate"),
        ("sqlalchemy.Engine.begin", "exit"),
        ("peewee.Database.atomic", "exit"),
        ("botocore.paginate.PageIterator", "iterate"),
        ("azure.core.paging.ItemPaged", "iterate"),
        ("faster_whisper.WhisperModel.transcribe", "iterate"),
        ("pymongo.cursor.Cursor", "iterate"),
        ("concurrent.futures.Executor", "exit"),
        ("concurrent.futures.as_completed", "iterate"),
        ("tempfile.TemporaryDirectory", "exit"),
        ("redis.lock.Lock", "enter"),
        ("openai.Stream", "iterate"),
        ("celery.result.AsyncResult.status", "read"),
        ("sqlalchemy.orm.relationship", "read"),
    ],
)
def test_it_blocks_where_control_goes_over(name: str, via: str) -> None:
    row = row_for(name, via)
    assert row is not None
    assert row.effect is Effect.BLOCKS


@pytest.mark.parametrize("name", ["os.walk", "os.scandir", "pathlib.Path.glob", "glob.iglob"])
def test_making_something_lazy_is_not_using_it(name: str) -> None:
    row = row_for(name)
    assert row is not None
    assert row.effect is Effect.CLEAN
    assert returns(name) == (name,)


@pytest.mark.parametrize(
    ("name", "argument", "place", "wraps"),
    [
        ("asyncio.to_thread", 0, "executor", False),
        ("anyio.to_thread.run_sync", 0, "thread pool", False),
        ("fastapi.concurrency.run_in_threadpool", 0, "thread pool", False),
        ("asyncio.AbstractEventLoop.run_in_executor", 1, "executor", False),
        ("concurrent.futures.ProcessPoolExecutor.submit", 0, "process", False),
        ("threading.Thread", "target", "executor", False),
        ("threading.Timer", 1, "executor", False),
        ("asgiref.sync.sync_to_async", 0, "executor", True),
        ("asyncer.asyncify", 0, "thread pool", True),
        ("asgiref.sync.async_to_sync", 0, "loop", True),
        ("starlette.background.BackgroundTasks.add_task", 0, "thread pool", False),
        ("fastapi.BackgroundTasks.add_task", 0, "thread pool", False),
        ("asyncio.create_task", 0, "loop", False),
        ("asyncio.AbstractEventLoop.call_later", 1, "loop", False),
        ("unstall.Lane.run", 0, "executor", False),
        ("celery.shared_task", 0, "offline", False),
    ],
)
def test_its_argument_runs_elsewhere(
    name: str, argument: int | str, place: str, wraps: bool
) -> None:
    row = row_for(name)
    assert row is not None
    assert (row.argument, row.place, row.wraps) == (argument, place, wraps)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("threading.Lock.acquire", {"blocking": "False"}),
        ("queue.Queue.get", {"block": "False"}),
        ("queue.Queue.get", {"0": "False"}),
        ("concurrent.futures.Executor.shutdown", {"wait": "False"}),
        ("concurrent.futures.Future.result", {"timeout": "0"}),
        ("confluent_kafka.Producer.poll", {"0": "0"}),
        ("time.sleep", {"0": "0"}),
        ("kubernetes.client.CoreV1Api.read_node", {"async_req": "True"}),
    ],
)
def test_an_argument_takes_the_wait_away(name: str, given: dict[str, str | None]) -> None:
    row = row_for(name)
    assert row is not None
    assert row.holds({})
    assert not row.holds(given)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("boto3.client", ("botocore.client.BaseClient",)),
        ("sqlalchemy.orm.sessionmaker.__call__", ("sqlalchemy.orm.Session",)),
        ("sqlalchemy.orm.Session.query", ("sqlalchemy.orm.Query",)),
        ("sqlalchemy.orm.Query.filter_by", ("sqlalchemy.orm.Query",)),
        ("sqlalchemy.orm.Query.first", ()),
        ("docker.from_env", ("docker.DockerClient",)),
        ("psycopg2.connect", ("psycopg2.extensions.connection",)),
        ("pathlib.Path.__truediv__", ("pathlib.Path",)),
        (
            "langchain_core.prompts.BasePromptTemplate.__or__",
            ("langchain_core.runnables.Runnable",),
        ),
        ("whisper.load_model", ("whisper.model.Whisper",)),
        ("googleapiclient.discovery.build", ("googleapiclient.discovery.Resource",)),
        ("googleapiclient.discovery.Resource.files", ("googleapiclient.discovery.Resource",)),
    ],
)
def test_a_call_gives_a_class(name: str, classes: tuple[str, ...]) -> None:
    assert returns(name) == classes


def test_attributes_entered_and_iterated_values_have_classes() -> None:
    assert attribute("starlette.datastructures.UploadFile.file") == (
        "starlette.datastructures.UploadFile.file",
    )
    assert attribute("docker.DockerClient.containers") == (
        "docker.models.containers.ContainerCollection",
    )
    assert attribute("pymongo.MongoClient.orders") == ("pymongo.database.Database",)
    assert enters("sqlalchemy.Engine.begin") == ("sqlalchemy.Connection",)
    assert enters("sqlalchemy.orm.Session") == ("sqlalchemy.orm.Session",)
    assert iterates("docker.models.containers.ContainerCollection.list") == (
        "docker.models.containers.Container",
    )
    assert default().unpacks("faster_whisper.WhisperModel.transcribe")[0] == (
        "faster_whisper.WhisperModel.transcribe"
    )


@pytest.mark.parametrize(
    ("private", "public"),
    [
        ("sqlalchemy.orm.session.Session.get", "sqlalchemy.orm.Session.get"),
        ("sqlalchemy.engine.base.Connection", "sqlalchemy.Connection"),
        ("pathlib._local.Path", "pathlib.Path"),
        ("posixpath.join", "os.path.join"),
        ("_io.TextIOWrapper", "io.TextIOWrapper"),
        ("requests.api.get", "requests.get"),
        ("redis.client.Redis.get", "redis.Redis.get"),
        ("fastapi.datastructures.UploadFile", "fastapi.UploadFile"),
        ("fastapi.concurrency.run_in_threadpool", "starlette.concurrency.run_in_threadpool"),
        ("langchain.vectorstores.FAISS", "langchain_community.vectorstores.FAISS"),
        ("fitz.Document", "pymupdf.Document"),
    ],
)
def test_a_name_is_known_by_where_it_is_public(private: str, public: str) -> None:
    assert canonical(private) == public
