"""Small real servers for benchmarks/cases/libraries: as much of each protocol as a case needs.

Handlers run on one loop in a thread of the servers' process. Where the package index has a real server in
Python, that is used.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
import tempfile
import threading
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

Handler = Callable[[StreamReader, StreamWriter], Awaitable[None]]


class _Loop:
    """Started when it is first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Any) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


LOOP = _Loop()


def served(handler: Handler) -> Callable[[], str]:
    """What starts a server for a handler of connections, and says where it is."""

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(IncompleteReadError, ConnectionError):
            await handler(reader, writer)
        writer.close()

    async def start() -> str:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        _kept.append(server)
        return _address(server.sockets[0].getsockname())

    return lambda: str(LOOP.run(start()))


def foreign(package: str, modules: str) -> list[Any]:
    """Of packages that are only in the environment of benchmarks/libraries.py."""
    names = modules.split()
    return [import_module(f"{package}.{name}" if package else name) for name in names]


def _address(name: Any) -> str:
    return f"{name[0]}:{name[1]}"


_kept: list[object] = []


# --- lines of text ----------------------------------------------------------------------------------


async def memcached(reader: StreamReader, writer: StreamWriter) -> None:
    values: dict[bytes, bytes] = {}
    while words := (await reader.readline()).split():
        if words[0] == b"set":
            values[words[1]] = (await reader.readexactly(int(words[4]) + 2))[:-2]
            writer.write(b"STORED\r\n")
        elif words[0] in (b"get", b"gets"):
            for key in (each for each in words[1:] if each in values):
                writer.write(b"VALUE %b 0 %d\r\n%b\r\n" % (key, len(values[key]), values[key]))
            writer.write(b"END\r\n")
        else:
            writer.write(b"ERROR\r\n")


async def nats(reader: StreamReader, writer: StreamWriter) -> None:
    hello = {"server_id": "x", "version": "2.10.0", "proto": 1, "max_payload": 1 << 20}
    writer.write(b"INFO %b\r\n" % json.dumps(hello).encode())
    while words := (await reader.readline()).split():
        if words[0] == b"PUB":
            await reader.readexactly(int(words[-1]) + 2)
        elif words[0] == b"PING":
            writer.write(b"PONG\r\n")


async def imap(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
    while words := (await reader.readline()).split():
        tag, verb = words[0], words[1].upper()
        if verb == b"CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1\r\n")
        if verb == b"SELECT":
            writer.write(b"* 0 EXISTS\r\n")
        if verb == b"LOGOUT":
            writer.write(b"* BYE\r\n")
        writer.write(b"%b OK done\r\n" % tag)


async def pop3(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"+OK ready\r\n")
    while words := (await reader.readline()).split():
        writer.write(b"+OK 0 0\r\n")
        if words[0].upper() == b"QUIT":
            return


async def web(reader: StreamReader, writer: StreamWriter) -> None:
    """An answer in JSON to whatever is asked, as Elasticsearch, whose client looks for its name."""
    while (line := await reader.readline()).strip():
        length = 0
        while header := (await reader.readline()).strip():
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        await reader.readexactly(length)
        body = json.dumps({
            "object": "list", "data": [], "tagline": "You Know, for Search", "version": {"number": "9.0.0"},
        }).encode()  # fmt: skip
        head = b"HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Type: application/json\r\n"
        shown = b"" if line.startswith(b"HEAD") else body
        writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), shown))


# --- frames -----------------------------------------------------------------------------------------


async def mongo(reader: StreamReader, writer: StreamWriter) -> None:
    """OP_MSG, and the one OP_QUERY that says hello."""
    import bson

    hello = {
        "ismaster": True, "helloOk": True, "ok": 1.0, "minWireVersion": 0, "maxWireVersion": 21,
        "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 1 << 25, "maxWriteBatchSize": 1000,
    }  # fmt: skip
    for number in itertools.count():
        size, request, _, code = struct.unpack("<iiii", await reader.readexactly(16))
        body = await reader.readexactly(size - 16)
        if code == 2004:
            head, answered = struct.pack("<iqii", 8, 0, 0, 1), 1
            answer = bson.encode(hello)
        else:
            asked = next(iter(bson.decode(body[5 : 5 + struct.unpack_from("<i", body, 5)[0]])))
            cursor = {"cursor": {"id": 0, "ns": "shop.orders", "firstBatch": []}}
            answers: dict[str, Any] = {"find": cursor, "hello": hello, "ismaster": hello}
            found = answers.get(asked, {})
            head, answered = struct.pack("<ib", 0, 0), 2013
            answer = bson.encode({**found, "n": 1, "ok": 1.0})
        size = 16 + len(head) + len(answer)
        writer.write(struct.pack("<iiii", size, number, request, answered) + head + answer)


async def mqtt(reader: StreamReader, writer: StreamWriter) -> None:
    """Version 3.1.1: connect, publish, subscribe, ping."""
    while True:
        kind, size, shift = (await reader.readexactly(1))[0], 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            size, shift = size | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        body = await reader.readexactly(size)
        if kind >> 4 == 1:
            writer.write(b"\x20\x02\x00\x00")
        elif kind >> 4 == 3 and kind & 6:
            at = 2 + int.from_bytes(body[:2], "big")
            writer.write(b"\x40\x02" + body[at : at + 2])
        elif kind >> 4 == 8:
            writer.write(b"\x90\x03" + body[:2] + b"\x00")
        elif kind >> 4 == 12:
            writer.write(b"\xd0\x00")


async def ldap(reader: StreamReader, writer: StreamWriter) -> None:
    """Every bind succeeds."""
    while True:
        _, size = await reader.readexactly(2)
        body = await reader.readexactly(size)
        number, asked = body[2], body[3]
        if asked == 0x60:
            writer.write(bytes([0x30, 12, 2, 1, number, 0x61, 7, 10, 1, 0, 4, 0, 4, 0]))


async def amqp(reader: StreamReader, writer: StreamWriter) -> None:
    """0-9-1: each question gets the answer that it waits for, and each message is confirmed."""
    commands, frame, header, heartbeat = foreign("pamqp", "commands frame header heartbeat")
    answers: dict[type, Any] = {
        commands.Connection.StartOk: lambda _: commands.Connection.Tune(0, 131072, 0),
        commands.Connection.Open: lambda _: commands.Connection.OpenOk(),
        commands.Connection.Close: lambda _: commands.Connection.CloseOk(),
        commands.Channel.Open: lambda _: commands.Channel.OpenOk(),
        commands.Channel.Close: lambda _: commands.Channel.CloseOk(),
        commands.Confirm.Select: lambda _: commands.Confirm.SelectOk(),
        commands.Basic.Qos: lambda _: commands.Basic.QosOk(),
        commands.Queue.Declare: lambda asked: commands.Queue.DeclareOk(asked.queue, 0, 0),
    }
    tags = itertools.count(1)
    await reader.readexactly(8)
    capable = {"capabilities": {"publisher_confirms": True, "basic.nack": True}}
    writer.write(frame.marshal(commands.Connection.Start(0, 9, capable, "PLAIN", "en_US"), 0))
    while True:
        head = await reader.readexactly(7)
        size = struct.unpack(">I", head[3:])[0]
        _, channel, asked = frame.unmarshal(head + await reader.readexactly(size + 1))
        if isinstance(asked, heartbeat.Heartbeat):
            continue
        answer = answers.get(type(asked))
        if answer is not None:
            writer.write(frame.marshal(answer(asked), channel))
        elif isinstance(asked, header.ContentHeader):
            writer.write(frame.marshal(commands.Basic.Ack(next(tags), False), channel))


# --- servers that others have written ---------------------------------------------------------------


def serve_mysql() -> str:
    (mysql_mimic,) = foreign("", "mysql_mimic")

    async def start() -> str:
        server = mysql_mimic.MysqlServer(host="127.0.0.1", port=0)
        await server.start_server()
        _kept.append(server)
        return _address(server._server.sockets[0].getsockname())

    return str(LOOP.run(start()))


def serve_smtp() -> str:
    (smtp,) = foreign("aiosmtpd", "smtp")

    class Sink:
        async def handle_DATA(self, *_: Any) -> str:
            return "250 taken"

    async def start() -> str:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: smtp.SMTP(Sink(), loop=loop), "127.0.0.1", 0)
        _kept.append(server)
        return _address(server.sockets[0].getsockname())

    return str(LOOP.run(start()))


def serve_ssh() -> str:
    (asyncssh,) = foreign("", "asyncssh")

    class Open(asyncssh.SSHServer):  # type: ignore[misc, name-defined]
        def begin_auth(self, username: str) -> bool:
            return False

    async def run(process: Any) -> None:
        process.stdout.write("ok\n")
        process.exit(0)

    async def start() -> str:
        key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Open, server_host_keys=[key], process_factory=run
        )
        _kept.append(server)
        return f"127.0.0.1:{server.get_port()}"

    return str(LOOP.run(start()))


def serve_websocket() -> str:
    from websockets.asyncio.server import serve

    async def echo(connection: Any) -> None:
        async for message in connection:
            await connection.send(message)

    async def start() -> str:
        server = await serve(echo, "127.0.0.1", 0)
        _kept.append(server)
        return _address(next(iter(server.sockets)).getsockname())

    return str(LOOP.run(start()))


def serve_dns() -> str:
    import dns.message
    import dns.rrset

    class Answering(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self._transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            asked = dns.message.from_wire(data)
            answer = dns.message.make_response(asked)
            answer.answer.append(
                dns.rrset.from_text(asked.question[0].name, 60, "IN", "A", "127.0.0.1")
            )
            self._transport.sendto(answer.to_wire(), addr)

    async def start() -> str:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Answering, ("127.0.0.1", 0))
        _kept.append(transport)
        return _address(transport.get_extra_info("sockname"))

    return str(LOOP.run(start()))


def serve_ftp() -> str:
    authorizers, handlers, servers = foreign("pyftpdlib", "authorizers handlers servers")
    authorizer = authorizers.DummyAuthorizer()
    authorizer.add_anonymous(tempfile.mkdtemp(prefix="matrix-"))
    handler = type("Handler", (handlers.FTPHandler,), {"authorizer": authorizer})
    server = servers.FTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return _address(server.socket.getsockname())


def serve_s3() -> str:
    """With a bucket, `shop`, and an object in it, `orders`."""
    import urllib.request

    (moto,) = foreign("moto", "server")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _kept.append(server)
    host, port = server.get_host_and_port()
    for path in ("shop", "shop/orders"):
        signed = {
            "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"
        }
        asked = urllib.request.Request(
            f"http://{host}:{port}/{path}", b"", method="PUT", headers=signed
        )
        urllib.request.urlopen(asked).close()
    return f"http://{host}:{port}"


def serve_fast_grpc() -> str:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    methods = {"Fast": grpc.unary_unary_rpc_method_handler(lambda request, _: request)}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("matrix.Shop", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _kept.append(server)
    return f"127.0.0.1:{port}"


def serve_zmq() -> str:
    (zmq,) = foreign("", "zmq")
    answering = zmq.Context.instance().socket(zmq.REP)
    port = answering.bind_to_random_port("tcp://127.0.0.1")

    def answer() -> None:
        while True:
            answering.send(answering.recv())

    threading.Thread(target=answer, daemon=True).start()
    return f"127.0.0.1:{port}"


SERVERS: dict[str, Callable[[], str]] = {
    **{each.__name__: served(each) for each in (memcached, nats, imap, pop3, web, mongo, mqtt, ldap, amqp)},
    "mysql": serve_mysql,
    "smtp": serve_smtp,
    "ssh": serve_ssh,
    "websocket": serve_websocket,
    "dns": serve_dns,
    "ftp": serve_ftp,
    "s3": serve_s3,
    "fast_grpc": serve_fast_grpc,
    "zmq": serve_zmq,
}  # fmt: skip
