"""US401, US402: clients, engines and pools that requests make instead of sharing."""

from __future__ import annotations

from collections.abc import Iterator

from unstall.audit.entrances_index import Use
from unstall.audit.first_time import path_to, repeats
from unstall.audit.ir import Place
from unstall.audit.rules.kept import Fate, fate, is_cached
from unstall.audit.rules.subject import Subject, Way, found
from unstall.audit.walk_nodes import Edge, Node
from unstall.audit.walk_ways import roots_of
from unstall.model.finding import Confidence, Finding

CLIENTS = frozenset(
    """
    httpx.AsyncClient httpx.Client httpx2.AsyncClient httpx2.Client
    requests.Session requests.session aiohttp.ClientSession niquests.Session niquests.AsyncSession
    urllib3.PoolManager curl_cffi.requests.Session curl_cffi.requests.AsyncSession
    boto3.client boto3.resource boto3.Session boto3.session.Session
    openai.OpenAI openai.AsyncOpenAI openai.AzureOpenAI openai.AsyncAzureOpenAI
    anthropic.Anthropic anthropic.AsyncAnthropic groq.Groq groq.AsyncGroq mistralai.Mistral cohere.Client
    cohere.AsyncClient
    redis.Redis redis.StrictRedis redis.from_url redis.Redis.from_url redis.StrictRedis.from_url
    redis.asyncio.Redis redis.asyncio.StrictRedis redis.asyncio.from_url redis.asyncio.Redis.from_url
    valkey.Valkey valkey.from_url valkey.asyncio.Valkey valkey.asyncio.from_url
    pymongo.MongoClient pymongo.AsyncMongoClient motor.motor_asyncio.AsyncIOMotorClient
    elasticsearch.Elasticsearch elasticsearch.AsyncElasticsearch
    opensearchpy.OpenSearch opensearchpy.AsyncOpenSearch
    docker.from_env docker.DockerClient docker.APIClient
    google.cloud.storage.Client google.cloud.bigquery.Client google.cloud.firestore.Client
    google.cloud.firestore.AsyncClient google.cloud.pubsub_v1.PublisherClient
    azure.storage.blob.BlobServiceClient azure.storage.blob.aio.BlobServiceClient
    azure.storage.blob.BlobServiceClient.from_connection_string
    azure.storage.blob.aio.BlobServiceClient.from_connection_string
    qdrant_client.QdrantClient qdrant_client.AsyncQdrantClient weaviate.Client pinecone.Pinecone
    grpc.insecure_channel grpc.secure_channel grpc.aio.insecure_channel grpc.aio.secure_channel
    kafka.KafkaProducer aiokafka.AIOKafkaProducer confluent_kafka.Producer
    twilio.rest.Client neo4j.GraphDatabase.driver neo4j.AsyncGraphDatabase.driver
    asyncpg.connect psycopg.AsyncConnection.connect
    """.split()
)
"""Each has connections of its own, or costs milliseconds to make."""

ENGINES = frozenset(
    """
    sqlalchemy.create_engine sqlalchemy.ext.asyncio.create_async_engine sqlmodel.create_engine
    sqlalchemy.engine_from_config sqlalchemy.ext.asyncio.async_engine_from_config
    asyncpg.create_pool aiomysql.create_pool aiopg.create_pool aioodbc.create_pool databases.Database
    psycopg_pool.ConnectionPool psycopg_pool.AsyncConnectionPool psycopg2.pool.SimpleConnectionPool
    psycopg2.pool.ThreadedConnectionPool
    redis.ConnectionPool redis.BlockingConnectionPool redis.ConnectionPool.from_url
    redis.asyncio.ConnectionPool redis.asyncio.BlockingConnectionPool redis.asyncio.ConnectionPool.from_url
    """.split()
)
"""Each is a pool."""

SERVING = (Place.LOOP, Place.THREAD_POOL, Place.EXECUTOR)


def check(subject: Subject) -> Iterator[Finding]:
    for code, names in (("US401", CLIENTS), ("US402", ENGINES)):
        for use, name in subject.calls(names):
            yield from _judged(subject, code, use, name)


def _judged(subject: Subject, code: str, use: Use, name: str) -> Iterator[Finding]:
    definition, ways = subject.definition(use.where), for_each_request(subject, use)
    if definition is None or not ways:
        return
    walk, function, what = subject.worked.walk, use.where.scope, fate(subject, use)
    scope = walk.types.project.scope(function)
    first = scope is not None and walk.once.fills_object(scope, use.call)
    for_each = () if first else repeated(subject, function, ways, per_object=True)
    ways = for_each or ways
    certain = what in (Fate.LET_GO, Fate.LENT) or (
        what is Fate.RETURNED and any(not way.path().through for way in ways)
    )
    body = definition.node.body
    looped = isinstance(body, list) and repeats(path_to(body, use.call))
    because = (
        f"{name} is made " + ("in a loop, " if looped else "") + "for each request and not kept"
    )
    yield found(
        code,
        subject.spot(use.where, use.call, name),
        because,
        ways=ways,
        confidence=Confidence.CERTAIN if certain and for_each else Confidence.POSSIBLE,
    )


def for_each_request(subject: Subject, use: Use) -> tuple[Way, ...]:
    """Ways of requests that make one more each time, and do not keep it."""
    walk, function = subject.worked.walk, use.where.scope
    scope = walk.types.project.scope(function)
    if scope is not None and walk.once.fills(scope, use.call):
        return ()
    ways = repeated(subject, function, subject.requests_to(use, *SERVING))
    return () if ways and fate(subject, use) is Fate.KEPT else ways


def repeated(
    subject: Subject, function: str, ways: tuple[Way, ...], *, per_object: bool = False
) -> tuple[Way, ...]:
    """Those that come there more than once in a process; `per_object`: more than once for an object."""
    once = subject.worked.walk.once

    def passes(before: Node, edge: Edge) -> bool:
        if before.once or edge.target.once or is_cached(subject, before.function):
            return False
        scope = subject.worked.walk.nodes[before].scope
        return not (per_object and once.fills_object(scope, edge.seen.node))

    coming: dict[tuple[Place, int], frozenset[Node]] = {}
    again: list[Way] = []
    for way in ways:
        key = way.place, max(way.guess, 1)
        if key not in coming:
            coming[key] = subject.coming(function, *key, passes)
        if not coming[key].isdisjoint(roots_of(subject.worked.walk.types, way.entrance)):
            again.append(way)
    return tuple(again)
