"""HTTP, clouds, mail, shells, names: a synchronous call that is fast today, and its asynchronous twin."""

from __future__ import annotations

import asyncio
import ftplib
import http.client
import imaplib
import poplib
import smtplib
import urllib.request
from contextlib import AsyncExitStack
from email.message import EmailMessage
from types import SimpleNamespace

import aiobotocore.session
import aioftp
import aiohttp
import aioimaplib
import aiosmtplib
import asyncssh
import boto3
import dns.asyncresolver
import dns.resolver
import grpc
import grpc.aio
import httplib2
import httpx
import hvac
import ldap3
import openai
import paramiko
import pycurl
import urllib3
import websocket
import websockets.asyncio.client
import websockets.sync.client

from benchmarks.cases.case import AT, Case, Group
from benchmarks.cases.network import address
from unstall.model.finding import Cause

kept = SimpleNamespace()
S3 = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}


def mail() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "shop@example.org", "you@example.org"
    message.set_content("An order.")
    return message


# --- before the loop, and at start-up ---------------------------------------------------------------


def keep_pool() -> None:
    kept.pool = urllib3.PoolManager()


def keep_boto3() -> None:
    kept.s3 = boto3.client("s3", endpoint_url=AT.s3, **S3)


def keep_openai() -> None:
    kept.openai = openai.OpenAI(base_url=f"http://{AT.web}/v1", api_key="x")


def keep_channel() -> None:
    kept.channel = grpc.insecure_channel(AT.fast_grpc)
    grpc.channel_ready_future(kept.channel).result(timeout=10)
    kept.fast = kept.channel.unary_unary("/matrix.Shop/Fast")
    kept.stream = kept.channel.unary_stream("/matrix.Shop/Fast")


def keep_websocket() -> None:
    kept.websocket = websockets.sync.client.connect(f"ws://{AT.websocket}")


def keep_websocket_client() -> None:
    kept.websocket = websocket.create_connection(f"ws://{AT.websocket}")


def keep_paramiko() -> None:
    host, port = address(AT.ssh)
    kept.ssh = paramiko.SSHClient()
    kept.ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    kept.ssh.connect(host, port, username="x", password="x", look_for_keys=False, allow_agent=False)


def keep_imap() -> None:
    kept.imap = imaplib.IMAP4(*address(AT.imap))
    kept.imap.login("x", "x")


def keep_resolver() -> None:
    kept.resolver = dns.resolver.Resolver(configure=False)
    kept.resolver.nameservers, kept.resolver.port = [address(AT.dns)[0]], address(AT.dns)[1]


async def open_aiohttp() -> None:
    kept.aiohttp = aiohttp.ClientSession()


async def open_httpx() -> None:
    kept.httpx = httpx.AsyncClient()


async def open_aiobotocore() -> None:
    kept.stack = AsyncExitStack()
    made = aiobotocore.session.get_session().create_client("s3", endpoint_url=AT.s3, **S3)
    kept.s3 = await kept.stack.enter_async_context(made)


async def open_openai() -> None:
    kept.openai = openai.AsyncOpenAI(base_url=f"http://{AT.web}/v1", api_key="x")


async def open_channel() -> None:
    kept.channel = grpc.aio.insecure_channel(AT.fast_grpc)
    await kept.channel.channel_ready()
    kept.fast = kept.channel.unary_unary("/matrix.Shop/Fast")


async def open_imap() -> None:
    host, port = address(AT.imap)
    kept.imap = aioimaplib.IMAP4(host, port)
    await kept.imap.wait_hello_from_server()
    await kept.imap.login("x", "x")


async def open_ssh() -> None:
    host, port = address(AT.ssh)
    kept.ssh = await asyncssh.connect(host, port, username="x", known_hosts=None, config=None)


def keep_async_resolver() -> None:
    kept.resolver = dns.asyncresolver.Resolver(configure=False)
    kept.resolver.nameservers, kept.resolver.port = [address(AT.dns)[0]], address(AT.dns)[1]


# --- what blocks ------------------------------------------------------------------------------------


async def urllib3_get() -> None:
    kept.pool.request("GET", AT.http)  # stalls


async def urllib_get() -> None:
    urllib.request.urlopen(AT.http).close()  # stalls


async def http_client_get() -> None:
    connection = http.client.HTTPConnection(*address(AT.http.removeprefix("http://")))
    connection.request("GET", "/")  # stalls
    connection.getresponse().read()  # stalls


async def httplib2_get() -> None:
    httplib2.Http().request(AT.http)  # stalls


async def pycurl_get() -> None:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, AT.http)
    curl.setopt(pycurl.WRITEFUNCTION, lambda chunk: None)
    curl.perform()  # stalls


async def boto3_get() -> None:
    kept.s3.get_object(Bucket="shop", Key="orders")  # stalls


async def openai_models() -> None:
    kept.openai.models.list()  # stalls


async def hvac_health() -> None:
    hvac.Client(f"http://{AT.web}").sys.read_health_status(method="GET")  # stalls


async def grpc_unary() -> None:
    kept.fast(b"7")  # stalls


async def grpc_stream() -> None:
    list(kept.stream(b"7"))  # stalls


async def websockets_sync() -> None:
    kept.websocket.send("7")  # stalls
    kept.websocket.recv()  # stalls


async def websocket_client() -> None:
    kept.websocket.send("7")  # stalls
    kept.websocket.recv()  # stalls


async def smtplib_send() -> None:
    with smtplib.SMTP(*address(AT.smtp)) as server:  # stalls
        server.send_message(mail())  # stalls


async def imaplib_select() -> None:
    kept.imap.select("INBOX")  # stalls


async def poplib_stat() -> None:
    server = poplib.POP3(*address(AT.pop3))  # stalls
    server.stat()  # stalls


async def ftplib_list() -> None:
    server = ftplib.FTP()
    server.connect(*address(AT.ftp))  # stalls
    server.login()  # stalls
    server.nlst()  # stalls


async def paramiko_exec() -> None:
    _, out, _ = kept.ssh.exec_command("list")  # stalls
    out.read()  # stalls


async def ldap3_bind() -> None:
    host, port = address(AT.ldap)
    ldap3.Connection(ldap3.Server(host, port, get_info=None), "cn=x", "x").bind()  # stalls


async def dnspython_resolve() -> None:
    kept.resolver.resolve("shop.example.org", "A")  # stalls


# --- and what does not ------------------------------------------------------------------------------


async def aiohttp_get(item: int) -> None:
    async with kept.aiohttp.get(AT.http) as answer:
        await answer.read()


async def aiohttp_session_in_the_route(item: int) -> None:
    async with aiohttp.ClientSession() as session, session.get(AT.http) as answer:
        await answer.read()


async def httpx_stream(item: int) -> None:
    async with kept.httpx.stream("GET", AT.http) as answer:
        await answer.aread()


async def pycurl_in_a_thread(item: int) -> None:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, AT.http)
    curl.setopt(pycurl.WRITEFUNCTION, lambda chunk: None)
    await asyncio.to_thread(curl.perform)


async def aiobotocore_get(item: int) -> None:
    answer = await kept.s3.get_object(Bucket="shop", Key="orders")
    await answer["Body"].read()


async def openai_async(item: int) -> None:
    await kept.openai.models.list()


async def grpc_aio(item: int) -> None:
    await kept.fast(b"7")


async def websockets_async(item: int) -> None:
    async with websockets.asyncio.client.connect(f"ws://{AT.websocket}") as connection:
        await connection.send("7")
        await connection.recv()


async def aiosmtplib_send(item: int) -> None:
    host, port = address(AT.smtp)
    await aiosmtplib.send(mail(), hostname=host, port=port)


async def aioimaplib_select(item: int) -> None:
    await kept.imap.select("INBOX")


async def aioftp_list(item: int) -> None:
    async with aioftp.Client.context(*address(AT.ftp)) as client:
        await client.list()


async def asyncssh_run(item: int) -> None:
    await kept.ssh.run("list")


async def ldap3_in_a_thread(item: int) -> None:
    host, port = address(AT.ldap)
    connection = ldap3.Connection(ldap3.Server(host, port, get_info=None), "cn=x", "x")
    await asyncio.to_thread(connection.bind)


async def dnspython_async(item: int) -> None:
    await kept.resolver.resolve("shop.example.org", "A")


def _latent(code: str) -> tuple[Group, Cause, str]:
    return Group.LATENT, Cause.WAITING, code


_HTTP, _WEB, _S3, _SSH = ("http",), ("web",), ("s3",), ("ssh",)
_WS, _GRPC = ("websocket",), ("fast_grpc",)
_CLEAN = (Group.CLEAN,)

CASES = (
    Case(urllib3_get, *_latent("US102"), prepare=keep_pool, needs=_HTTP),
    Case(urllib_get, *_latent("US102"), needs=_HTTP),
    Case(http_client_get, *_latent("US102"), needs=_HTTP),
    Case(httplib2_get, *_latent("US102"), needs=_HTTP),
    Case(pycurl_get, *_latent("US102"), needs=_HTTP),
    Case(boto3_get, *_latent("US110"), prepare=keep_boto3, needs=_S3),
    Case(openai_models, *_latent("US110"), prepare=keep_openai, needs=_WEB),
    Case(hvac_health, *_latent("US110"), needs=_WEB),
    Case(grpc_unary, *_latent("US110"), prepare=keep_channel, needs=_GRPC),
    Case(grpc_stream, *_latent("US110"), prepare=keep_channel, needs=_GRPC, quick=True),
    Case(websockets_sync, *_latent("US108"), prepare=keep_websocket, needs=_WS),
    Case(websocket_client, *_latent("US108"), prepare=keep_websocket_client, needs=_WS),
    Case(smtplib_send, *_latent("US111"), needs=("smtp",)),
    Case(imaplib_select, *_latent("US111"), prepare=keep_imap, needs=("imap",)),
    Case(poplib_stat, *_latent("US111"), needs=("pop3",)),
    Case(ftplib_list, *_latent("US111"), needs=("ftp",)),
    Case(paramiko_exec, *_latent("US111"), prepare=keep_paramiko, needs=_SSH),
    Case(ldap3_bind, *_latent("US111"), needs=("ldap",)),
    Case(dnspython_resolve, *_latent("US108"), prepare=keep_resolver, needs=("dns",), quick=True),
    Case(aiohttp_get, *_CLEAN, connect=open_aiohttp, needs=_HTTP),
    Case(aiohttp_session_in_the_route, *_CLEAN, needs=_HTTP),
    Case(httpx_stream, *_CLEAN, connect=open_httpx, needs=_HTTP),
    Case(pycurl_in_a_thread, *_CLEAN, needs=_HTTP),
    Case(aiobotocore_get, *_CLEAN, connect=open_aiobotocore, needs=_S3),
    Case(openai_async, *_CLEAN, connect=open_openai, needs=_WEB),
    Case(grpc_aio, *_CLEAN, connect=open_channel, needs=_GRPC),
    Case(websockets_async, *_CLEAN, needs=_WS),
    Case(aiosmtplib_send, *_CLEAN, needs=("smtp",)),
    Case(aioimaplib_select, *_CLEAN, connect=open_imap, needs=("imap",)),
    Case(aioftp_list, *_CLEAN, needs=("ftp",)),
    Case(asyncssh_run, *_CLEAN, connect=open_ssh, needs=_SSH),
    Case(ldap3_in_a_thread, *_CLEAN, needs=("ldap",)),
    Case(dnspython_async, *_CLEAN, prepare=keep_async_resolver, needs=("dns",), quick=True),
)
