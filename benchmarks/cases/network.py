"""Sockets, names, mail, brokers, remote calls."""

from __future__ import annotations

import select
import smtplib
import socket
from contextlib import suppress
from types import SimpleNamespace

import confluent_kafka
import grpc

from benchmarks.cases.case import AT, SLOW_S, Case, Group, Place, later, start_helper
from unstall.model.finding import Cause

kept = SimpleNamespace()


def address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port)


def keep_connection() -> None:
    start_helper()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept.ours = socket.create_connection(listener.getsockname())
        kept.theirs, _ = listener.accept()


def answer() -> None:
    kept.theirs.sendall(b"late\r\n")


def keep_producer() -> None:
    """Its broker is dead."""
    quiet = {"bootstrap.servers": AT.dead, "log_level": 0}
    kept.producer = confluent_kafka.Producer(quiet, logger=None)


def keep_channel() -> None:
    kept.channel = grpc.insecure_channel(AT.grpc)
    grpc.channel_ready_future(kept.channel).result(timeout=10)
    kept.slow = kept.channel.unary_unary("/matrix.Shop/Slow")


async def socket_recv() -> None:
    later(answer)
    kept.ours.recv(100)  # stalls


async def socket_makefile() -> None:
    later(answer)
    kept.ours.makefile("rb").readline()  # stalls


async def select_select() -> None:
    later(answer)
    select.select([kept.ours], [], [], 5)  # stalls


async def smtplib_connect() -> None:
    with suppress(smtplib.SMTPException):
        smtplib.SMTP(*address(AT.late), timeout=5)  # stalls


async def grpc_call() -> None:
    kept.slow(b"", timeout=5)  # stalls


async def kafka_flush() -> None:
    kept.producer.produce("orders", b"1")
    kept.producer.flush(SLOW_S)  # stalls


async def smtplib_refused() -> None:
    with suppress(ConnectionRefusedError):
        smtplib.SMTP(*address(AT.dead), timeout=5)  # stalls


async def getaddrinfo_fast() -> None:
    socket.getaddrinfo("localhost", 80)  # stalls


_SLOW = (Group.SLOW, Cause.WAITING)
_LATENT = (Group.LATENT, Cause.WAITING)

CASES = (
    Case(socket_recv, *_SLOW, "US108", prepare=keep_connection),
    Case(socket_makefile, *_SLOW, "US108", place=Place.STREAM, prepare=keep_connection),
    Case(select_select, *_SLOW, "US108", prepare=keep_connection),
    Case(smtplib_connect, *_SLOW, "US111", place=Place.BACKGROUND, needs=("late",)),
    Case(grpc_call, *_SLOW, "US110", prepare=keep_channel, needs=("grpc",)),
    Case(kafka_flush, *_SLOW, "US105", prepare=keep_producer),
    Case(smtplib_refused, *_LATENT, "US111"),
    Case(getaddrinfo_fast, *_LATENT, "US108"),
)
