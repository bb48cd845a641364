"""nginx, with the configuration that is deployed, before two releases that run as they are deployed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tally.stack.processes import free_port
from tests.reference.tally.deploy.nginx import (
    TEMPLATE,
    NginxUnavailable,
    find_nginx,
    rendered,
    running,
    wait_for,
)

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROOT = Path(__file__).parents[4]
PERCENT = 20


@dataclass(frozen=True, slots=True)
class Release:
    port: int
    metrics: int
    process: subprocess.Popen[bytes]

    def waits(self, admitted: float = 0) -> Waits:
        """Once so many requests are counted: what stands on the page may be five seconds old."""
        until = time.monotonic() + 30
        while (found := self._page()).admitted < admitted:
            assert time.monotonic() < until, f"{found} after 30 s"
            time.sleep(0.1)
        return found

    def _page(self) -> Waits:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10) as page:
            text = page.read().decode()
        names = (
            "unstall_guard_admitted_total",
            "http_server_queue_seconds_count",
            "http_server_queue_seconds_sum",
        )
        return Waits(*(value_of(text, name) for name in names))


@dataclass(frozen=True, slots=True)
class Waits:
    admitted: float
    seen: float
    """Of those admitted, how many said when they came to nginx."""
    seconds: float
    """How long these waited, in all."""


def value_of(page: str, name: str) -> float:
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.MULTILINE)
    return float(found[0]) if found else 0.0


@contextmanager
def release(name: str) -> Iterator[Release]:
    port, metrics = free_port(), free_port()
    command = [
        *(sys.executable, "-m", "unstall", "run", "--no-summary", "--metrics", str(metrics), "--"),
        *(sys.executable, "-m", "uvicorn", "tests.reference.tally.deploy.behind:app"),
        *("--port", str(port), "--no-access-log", "--timeout-keep-alive", "75"),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "RELEASE": name},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield Release(port, metrics, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@dataclass(frozen=True, slots=True)
class Front:
    client: httpx2.Client
    stable: Release
    canary: Release


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return find_nginx(tmp_path_factory.mktemp("package"))
    except NginxUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def front(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    with ExitStack() as stack:
        stable, canary = (stack.enter_context(release(name)) for name in ("stable", "canary"))
        port = stack.enter_context(
            running(
                binary,
                folder,
                STABLE=f"127.0.0.1:{stable.port}",
                CANARY=f"127.0.0.1:{canary.port}",
                CANARY_PERCENT=str(PERCENT),
            )
        )
        client = stack.enter_context(httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
        yield Front(client, stable, canary)


def released(front: Front, key: str, **headers: str) -> str:
    answer = front.client.get("/v1/metrics", headers={"x-api-key": key, **headers})
    assert answer.status_code == 200
    name: str = answer.json()["release"]
    assert answer.headers["x-release"] == name
    return name


def test_the_canary_gets_its_share_of_customers(front: Front) -> None:
    names = [released(front, f"key-{number}") for number in range(600)]
    assert 100 * names.count("canary") / len(names) == pytest.approx(PERCENT, abs=5)


def test_a_customer_stays_on_one_side(front: Front) -> None:
    for number in range(20):
        assert len({released(front, f"key-{number}") for _ in range(5)}) == 1


def test_a_release_can_be_asked_for(front: Front) -> None:
    for name in ("stable", "canary"):
        assert {released(front, f"key-{n}", **{"x-release": name}) for n in range(20)} == {name}


def test_waiting_for_a_frozen_loop_is_measured_and_nothing_else(
    front: Front, tmp_path: Path
) -> None:
    def number_of(path: str, **headers: str) -> int:
        """How many requests the release has had with this one."""
        answer = front.client.get(path, headers={"x-release": "stable", **headers})
        number: int = answer.json()["number"]
        return number

    for _ in range(300):  # until a guard has seen the header, it looks at few requests
        number = number_of("/v1/metrics")
    before = front.stable.waits(number)
    for _ in range(20):
        hour_ago = f"t={time.time() - 3000:.3f}"
        number = number_of("/v1/metrics", **{"x-request-start": hour_ago})  # not believed
    calm = front.stable.waits(number)
    assert calm.seen == before.seen + 20
    with ThreadPoolExecutor(9) as pool:
        thaw = tmp_path / "thaw"
        frozen = pool.submit(number_of, f"/freeze?until={thaw}")
        time.sleep(0.2)  # it may be in its handler by now
        waiting = [pool.submit(number_of, "/v1/metrics") for _ in range(8)]
        time.sleep(1)
        thaw.touch()
        number = max(each.result() for each in (frozen, *waiting))
    late = front.stable.waits(number)
    assert late.seen == calm.seen + 9
    # Eight that waited for about a second each, against twenty that waited for nobody.
    assert late.seconds - calm.seconds > 1 + (calm.seconds - before.seconds)


def test_what_the_service_is_told(front: Front) -> None:
    told = front.client.get("/v1/metrics", headers={"x-forwarded-for": "203.0.113.9"}).json()
    headers = told["headers"]
    assert headers["x-forwarded-for"] == "203.0.113.9"  # from a proxy that is believed
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])
    assert re.fullmatch(r"t=\d+\.\d{3}", headers["x-request-start"])


def test_bodies_have_the_limits_of_their_routes(front: Front) -> None:
    large = b"x" * 2_000_000
    assert front.client.post("/v1/events", content=large).status_code == 413
    stored = front.client.post("/v1/imports", content=large)
    assert (stored.status_code, stored.json()["size"]) == (200, len(large))


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_what_is_for_operators_is_not_for_clients(front: Front, path: str) -> None:
    assert front.client.get(path).status_code == 404


def test_a_canary_that_is_gone_is_no_outage(binary: Path, tmp_path: Path) -> None:
    with release("stable") as stable:
        values = {
            "STABLE": f"127.0.0.1:{stable.port}",
            "CANARY": f"127.0.0.1:{free_port()}",
            "CANARY_PERCENT": "50",
        }
        with running(binary, tmp_path, **values) as port, httpx2.Client() as client:
            for number in range(40):
                answer = client.post(
                    f"http://127.0.0.1:{port}/v1/events",
                    content=b"{}",
                    headers={"x-api-key": f"key-{number}"},
                )
                assert (answer.status_code, answer.json()["release"]) == (200, "stable")


def test_every_value_of_the_template_is_given() -> None:
    names = set(re.findall(r"\$\{(\w+)\}", TEMPLATE.read_text()))
    assert names == {"STABLE", "CANARY", "CANARY_PERCENT", "LISTEN", "FROM_PROXY"}
    assert rendered("${STABLE} $uri ${OTHER}", {"STABLE": "a:1"}) == "a:1 $uri ${OTHER}"
