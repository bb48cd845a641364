"""The incident service as it is run: uvicorn, a downstream with an ill pod, and real requests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from reference.incident.lane import Lane, LaneFull
from reference.incident.settings import Settings, SettingsError

pytestmark = pytest.mark.live

REFERENCE = Path(__file__).parents[2] / "reference"
VARIANTS = (
    "sync_with_async_blocking_dep",
    "async_with_blocking",
    "sync_with_async_dep_offload",
    "lane",
)


@contextmanager
def process(*command: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INCIDENT_")}
    started = subprocess.Popen(
        [sys.executable, *command],
        cwd=REFERENCE,
        env={**kept, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with started:  # closes the pipe
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def downstream(*options: str) -> Iterator[list[str]]:
    with process("-m", "incident.downstream", *options) as started:
        assert started.stdout
        yield json.loads(started.stdout.readline())["urls"]


@contextmanager
def service(**env: str) -> Iterator[str]:
    command = ("-m", "uvicorn", "--app-dir", str(REFERENCE), "incident.app:app", "--port", "0")
    with process(*command, "--no-access-log", **env) as started:
        assert started.stdout
        for line in started.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            pytest.fail("uvicorn did not start")
        yield found[0]


def get(url: str, timeout: float = 30) -> requests.Response:
    return requests.get(url, timeout=timeout)


def counters(url: str) -> dict[str, int]:
    text = get(f"{url}/metrics").text
    return {
        f"{kind} {variant}": int(count)
        for kind, variant, count in re.findall(
            r'^incident_(\w+)_calls_total\{variant="(\w+)"\} (\d+)$', text, re.MULTILINE
        )
    }


# --- the downstream


def test_exactly_one_pod_hangs_and_then_answers_too() -> None:
    with downstream("--pods", "4", "--hang", "1") as urls:
        assert len(set(urls)) == 4
        answers = [get(f"{url}/price") for url in urls]
    assert [answer.json() for answer in answers] == [{"pod": n, "price": 42} for n in range(4)]
    assert [answer.elapsed.total_seconds() >= 1 for answer in answers] == [True] + [False] * 3


def test_healthy_pods_answer_while_many_requests_hang() -> None:
    with downstream("--pods", "2", "--hang", "60") as urls, ThreadPoolExecutor(50) as threads:
        bad, good = urls

        def hang() -> None:
            with pytest.raises(requests.ReadTimeout):
                get(bad, timeout=2)

        hung = [threads.submit(hang) for _ in range(50)]
        for _ in range(20):
            assert get(good).status_code == 200
        for future in hung:
            future.result()


def test_one_connection_carries_many_requests_with_bodies() -> None:
    with downstream("--pods", "2") as urls, requests.Session() as session:
        for size in (0, 1, 100_000):
            assert session.post(urls[1], data=b"x" * size, timeout=30).json()["pod"] == 1


def test_sigterm_stops_the_downstream_at_once_with_requests_in_it() -> None:
    with process("-m", "incident.downstream", "--pods", "1", "--hang", "600") as started:
        assert started.stdout
        (url,) = json.loads(started.stdout.readline())["urls"]

        def hang() -> None:
            with pytest.raises(requests.ConnectionError):
                get(url)

        with ThreadPoolExecutor(1) as threads:
            hung = threads.submit(hang)
            time.sleep(0.2)
            started.send_signal(signal.SIGTERM)
            assert started.wait(timeout=20) == 0
            hung.result()


def test_the_ready_file_holds_the_line_that_was_printed(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    with downstream("--pods", "3", "--ready-file", str(ready)) as urls:
        for _ in range(1_000):
            if ready.exists():
                break
            time.sleep(0.01)
        assert json.loads(ready.read_text()) == {"urls": urls, "bad": urls[0]}


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with downstream("--pods", "1") as urls:
        port = urls[0].rsplit(":", 1)[1]
        with process("-m", "incident.downstream", "--pods", "1", "--port", port) as second:
            said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert said.startswith("incident.downstream: ")
    assert said.count("\n") == 1


# --- the service


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_route_calls_a_real_pod_and_counts_which_kind_it_was(variant: str) -> None:
    with downstream("--pods", "3", "--hang", "0.05") as urls:
        env = {"INCIDENT_DOWNSTREAM": ",".join(urls), "INCIDENT_PROBABILITY": "0.5"}
        with service(**env) as url:
            answers = [get(f"{url}/{variant}").json() for _ in range(20)]
            counted = counters(url)
    blocking = [answer for answer in answers if answer["blocking_call"]]
    assert 0 < len(blocking) < 20
    assert {answer["pod"] for answer in blocking} == {urls[0]}
    assert {answer["pod"] for answer in answers if not answer["blocking_call"]} == set(urls[1:])
    assert counted[f"blocking {variant}"] == len(blocking)
    assert counted[f"non_blocking {variant}"] == 20 - len(blocking)
    assert sum(counted.values()) == 20


def test_the_same_seed_meets_the_same_pods() -> None:
    with downstream("--pods", "5", "--hang", "0") as urls:

        def pods_of(seed: str) -> list[str]:
            env = {"INCIDENT_DOWNSTREAM": ",".join(urls), "INCIDENT_SEED": seed}
            with service(**env) as url:
                return [get(f"{url}/async_with_blocking").json()["pod"] for _ in range(15)]

        assert pods_of("3") == pods_of("3") != pods_of("4")


def test_a_single_pod_gets_every_call_and_no_blame() -> None:
    with (
        downstream("--pods", "1", "--hang", "0") as (only,),
        service(INCIDENT_DOWNSTREAM=only, INCIDENT_PROBABILITY="1") as url,
    ):
        answer = get(f"{url}/async_with_blocking").json()
    assert (answer["pod"], answer["blocking_call"]) == (only, False)


@pytest.mark.parametrize("variant", VARIANTS[:2])
def test_one_hanging_call_on_the_loop_silences_the_health_check(variant: str) -> None:
    with (
        downstream("--pods", "2", "--hang", "2") as urls,
        service(INCIDENT_DOWNSTREAM=",".join(urls), INCIDENT_PROBABILITY="1") as url,
        ThreadPoolExecutor(1) as threads,
    ):
        slow = threads.submit(get, f"{url}/{variant}")
        probes = [get(f"{url}/livez")]
        while not slow.done():
            probes.append(get(f"{url}/livez"))
        assert slow.result().json()["blocking_call"]
    assert max(probe.elapsed.total_seconds() for probe in probes) > 1


@pytest.mark.parametrize("variant", VARIANTS[2:])
def test_a_hanging_call_off_the_loop_leaves_the_health_check_alone(variant: str) -> None:
    with (
        service(INCIDENT_PROBABILITY="1", INCIDENT_SECONDS="3") as url,
        ThreadPoolExecutor(1) as threads,
    ):
        slow = threads.submit(get, f"{url}/{variant}")
        while not counters(url)[f"blocking {variant}"]:
            time.sleep(0.01)
        assert get(f"{url}/livez").json() == {"alive": True}
        assert not slow.done()
        assert slow.result().status_code == 200


def test_the_lane_route_says_503_and_when_to_come_back() -> None:
    env = {"INCIDENT_PROBABILITY": "1", "INCIDENT_SECONDS": "3", "INCIDENT_LANE_TIMEOUT": "20"}
    with (
        service(INCIDENT_LANE_THREADS="1", INCIDENT_LANE_QUEUE="0", **env) as url,
        ThreadPoolExecutor(1) as threads,
    ):
        held = threads.submit(get, f"{url}/lane")
        while not counters(url)["blocking lane"]:
            time.sleep(0.01)
        refused = get(f"{url}/lane")
        assert not held.done(), "the refusal did not wait for the thread"
        assert held.result().status_code == 200
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "20"


def test_without_a_downstream_a_healthy_call_is_no_call_at_all() -> None:
    with service(INCIDENT_PROBABILITY="0") as url:
        for variant in VARIANTS:
            answer = get(f"{url}/{variant}").json()
            assert (answer["variant"], answer["pod"]) == (variant, "")
            assert not answer["blocking_call"]


# --- the lane


def test_a_lane_returns_what_the_function_returns_and_raises_what_it_raises() -> None:
    async def play() -> None:
        lane = Lane("test", threads=1, queue=0, timeout=20)
        assert await lane.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await lane.run(divmod, 7, 0)
        lane.close()

    asyncio.run(play())


def test_a_full_lane_refuses_without_waiting() -> None:
    async def play() -> None:
        lane, release = Lane("test", threads=1, queue=1, timeout=20), threading.Event()
        jobs = [asyncio.create_task(lane.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(LaneFull, match="test is full") as refusal:
            await lane.run(release.wait)
        assert refusal.value.retry_after == 20
        release.set()
        assert await asyncio.gather(*jobs) == [True, True]
        assert await lane.run(int, "3") == 3
        lane.close()

    asyncio.run(play())


def test_whoever_waits_too_long_for_a_thread_is_refused_and_never_run() -> None:
    async def play() -> None:
        lane, release = Lane("test", threads=1, queue=1, timeout=0.05), threading.Event()
        ran: list[str] = []
        holder = asyncio.create_task(lane.run(release.wait))
        await asyncio.sleep(0)
        with pytest.raises(LaneFull):
            await lane.run(ran.append, "late")
        release.set()
        assert await holder, "a call that has its thread is not hurried"
        await lane.run(ran.append, "next")
        assert ran == ["next"]
        lane.close()

    asyncio.run(play())


def test_a_cancelled_request_holds_its_slot_until_its_thread_ends() -> None:
    async def play() -> None:
        lane, release = Lane("test", threads=1, queue=0, timeout=20), threading.Event()
        begun = threading.Event()

        def work() -> None:
            begun.set()
            release.wait()

        request = asyncio.create_task(lane.run(work))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        with pytest.raises(LaneFull):
            await lane.run(int)
        release.set()
        assert await _until_free(lane) == 0
        lane.close()

    asyncio.run(play())


def test_a_request_cancelled_in_the_queue_leaves_it() -> None:
    async def play() -> None:
        lane, release = Lane("test", threads=1, queue=1, timeout=20), threading.Event()
        ran: list[str] = []
        holder = asyncio.create_task(lane.run(release.wait))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(lane.run(ran.append, "gone"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        follower = asyncio.create_task(lane.run(ran.append, "follower"))
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(holder, follower)
        assert ran == ["follower"]
        lane.close()

    asyncio.run(play())


async def _until_free(lane: Lane) -> int:
    while True:
        try:
            return await lane.run(int)
        except LaneFull:
            await asyncio.sleep(0.01)


# --- the settings


def test_without_variables_the_service_sleeps_as_in_the_story() -> None:
    settings = Settings.from_environ({})
    assert (settings.source, settings.probability, settings.seconds) == ("sleep", 0.05, 15)


def test_urls_make_it_call_them() -> None:
    settings = Settings.from_environ({"INCIDENT_DOWNSTREAM": "http://a:1/, http://b:2 ,"})
    assert (settings.source, settings.pods) == ("downstream", ("http://a:1", "http://b:2"))


WRONG: dict[str, dict[str, str]] = {
    "INCIDENT_PROBABILITY must be a number, from 0 to 1, not '5'": {"INCIDENT_PROBABILITY": "5"},
    "INCIDENT_SECONDS must be a number, 0 or more, not 'nan'": {"INCIDENT_SECONDS": "nan"},
    "INCIDENT_SOURCE must be downstream or sleep, not 'x'": {"INCIDENT_SOURCE": "x"},
    "INCIDENT_SOURCE=downstream needs": {"INCIDENT_SOURCE": "downstream"},
    "INCIDENT_DOWNSTREAM must list http:// URLs, not 'a:1'": {"INCIDENT_DOWNSTREAM": "a:1"},
    "INCIDENT_SEED must be a whole number, 0 or more": {"INCIDENT_SEED": "x"},
    "INCIDENT_LANE_THREADS must be a whole number, 1 or more": {"INCIDENT_LANE_THREADS": "0"},
    "INCIDENT_LANE_QUEUE must be a whole number": {"INCIDENT_LANE_QUEUE": "-1"},
    "INCIDENT_LANE_TIMEOUT must be a number, 0.01 or more": {"INCIDENT_LANE_TIMEOUT": "0"},
}


@pytest.mark.parametrize("sentence", WRONG)
def test_a_bad_value_is_told_in_one_sentence(sentence: str) -> None:
    with pytest.raises(SettingsError) as told:
        Settings.from_environ(WRONG[sentence])
    assert str(told.value).startswith(sentence)


def test_a_service_with_a_bad_value_says_the_sentence_and_nothing_else() -> None:
    command = ("-m", "uvicorn", "incident.app:app", "--port", "0")
    with process(*command, INCIDENT_PROBABILITY="often") as started:
        said, _ = started.communicate(timeout=30)
    assert started.returncode == 1
    assert said == "incident: INCIDENT_PROBABILITY must be a number, from 0 to 1, not 'often'\n"
