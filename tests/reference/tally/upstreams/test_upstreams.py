"""Auth, billing and flags, over real sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest
import requests

from tally.schema.seed import customer, revoke
from tally.settings import Settings
from tally.upstreams.__main__ import Hang, main
from tally.upstreams.services import Key, hash_of
from tests.reference.tally.upstreams.serving import serving

WAIT_S = 30.0


def verify(url: str, key: str = "") -> tuple[int, object]:
    headers = {"X-API-Key": key} if key else {}
    answer = requests.get(f"{url}/v1/keys/verify", headers=headers, timeout=WAIT_S)
    return answer.status_code, answer.json()


def book(url: str, customer: int, events: int, reference: str = "") -> requests.Response:
    headers = {"Idempotency-Key": reference} if reference else {}
    usage = {"customer": customer, "events": events}
    return requests.post(f"{url}/v1/usage", json=usage, headers=headers, timeout=WAIT_S)


def ledger(url: str, customer: int) -> tuple[int, int]:
    found = requests.get(f"{url}/v1/usage/{customer}", timeout=WAIT_S).json()
    return found["events"], found["receipts"]


def test_auth_knows_whose_key_it_is() -> None:
    with serving(keys={"good": 7}) as urls:
        (auth,) = urls["auth"]
        assert verify(auth, "good") == (200, {"customer": 7})
        assert verify(auth, "guess") == (401, {"reason": "unknown"})
        assert verify(auth) == (401, {"reason": "unknown"})


def test_a_revoked_key_and_a_store_that_is_away_are_told_apart() -> None:
    async def lookup(key_hash: bytes) -> Key | None:
        if key_hash == hash_of("old"):
            return Key(7, revoked=True)
        raise OSError("the keys cannot be read: gone")

    with serving(lookup=lookup) as urls:
        (auth,) = urls["auth"]
        assert verify(auth, "old") == (401, {"reason": "revoked"})
        assert verify(auth, "other") == (503, {"reason": "the keys cannot be read: gone"})


def test_billing_adds_up_over_all_its_pods() -> None:
    with serving(pods=2) as urls:
        one, other = urls["billing"]
        assert book(one, 7, 12).status_code == 201
        assert book(other, 7, 3).status_code == 201
        assert ledger(one, 7) == ledger(other, 7) == (15, 2)
        assert ledger(one, 8) == (0, 0)


def test_a_repetition_with_the_same_reference_books_nothing() -> None:
    with serving(pods=2) as urls:
        one, other = urls["billing"]
        first = book(one, 7, 12, "u-1")
        again = book(other, 7, 12, "u-1")
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert ledger(one, 7) == (12, 1)


def test_flags_are_on_until_somebody_changes_them_for_one_customer() -> None:
    with serving() as urls:
        (flags,) = urls["flags"]
        requests.put(f"{flags}/v1/flags/7", json={"ingest": False}, timeout=WAIT_S)
        of_seven, of_eight = (
            requests.get(f"{flags}/v1/flags/{customer}", timeout=WAIT_S).json()["flags"]
            for customer in (7, 8)
        )
        assert of_seven == {"ingest": False, "query": True, "imports": True}
        assert all(of_eight.values())


@pytest.mark.parametrize(
    ("service", "method", "path", "body"),
    [
        ("billing", "POST", "/v1/usage", "no JSON"),
        ("billing", "POST", "/v1/usage", "[]"),
        ("billing", "POST", "/v1/usage", '{"customer": 7}'),
        ("billing", "POST", "/v1/usage", '{"customer": 7, "events": 0}'),
        ("billing", "GET", "/v1/usage/seven", ""),
        ("flags", "PUT", "/v1/flags/7", '{"ingest": "no"}'),
        ("flags", "PUT", "/v1/flags/7", '{"other": true}'),
    ],
)
def test_what_cannot_be_read_is_a_400_with_a_reason(
    service: str, method: str, path: str, body: str
) -> None:
    with serving() as urls:
        answer = requests.request(method, urls[service][0] + path, data=body, timeout=WAIT_S)
        assert answer.status_code == 400
        assert answer.json()["reason"]


def test_the_pod_that_hangs_keeps_nobody_else_waiting() -> None:
    with serving(pods=2, hangs=[Hang("billing", 1, 3600.0)]) as urls:
        ill, well = urls["billing"]
        address = urlsplit(ill)
        assert address.hostname is not None
        with socket.create_connection((address.hostname, address.port or 0)) as waiting:
            waiting.sendall(b"GET /v1/usage/7 HTTP/1.1\r\n\r\n")
            assert ledger(well, 7) == (0, 0)
            waiting.setblocking(False)
            with pytest.raises(BlockingIOError):
                waiting.recv(1)


def test_a_connection_is_kept_and_one_that_speaks_no_http_is_closed() -> None:
    with serving(keys={"good": 7}) as urls:
        address = urlsplit(urls["auth"][0])
        where = (address.hostname or "", address.port or 0)
        with socket.create_connection(where, WAIT_S) as kept:
            for _ in range(2):
                kept.sendall(b"GET /v1/keys/verify HTTP/1.1\r\nX-API-Key: good\r\n\r\n")
                assert kept.recv(4096).endswith(b'{"customer": 7}')
        with socket.create_connection(where, WAIT_S) as odd:
            odd.sendall(b"hello\r\n\r\n")
            assert odd.recv(4096) == b""


@pytest.mark.live
def test_the_command_prints_urls_and_reads_keys_from_the_database(settings: Settings) -> None:
    customer(settings, 7, "seven", "good")
    customer(settings, 8, "eight", "old")
    revoke(settings, "old")
    command = [sys.executable, "-m", "tally.upstreams", "--pods", "2", "--key", "given=9"]
    environ = {"DATABASE_URL": settings.database_url, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(WAIT_S, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            urls = json.loads(process.stdout.readline())
            assert {service: len(pods) for service, pods in urls.items()} == {
                "auth": 2,
                "billing": 2,
                "flags": 2,
            }
            auth = urls["auth"][1]
            assert verify(auth, "good") == (200, {"customer": 7})
            assert verify(auth, "old") == (401, {"reason": "revoked"})
            assert verify(auth, "given") == (200, {"customer": 9})
            assert verify(auth, "guess") == (401, {"reason": "unknown"})
        finally:
            guard.cancel()
            process.kill()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pods", "0"], "--pods must be at least 1"),
        (["--hang", "billing:1"], "must be SERVICE:POD:SECONDS such as billing:1:15"),
        (["--hang", "cash:1:15"], "of auth, billing, flags, not 'cash:1:15'"),
        (["--hang", "billing:4:15"], "there is no pod 4 of billing: there are 3"),
        (["--key", "good"], "must be KEY=CUSTOMER, not 'good'"),
    ],
)
def test_bad_words_are_told(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert message in capsys.readouterr().err
