"""The open-model engine against a real server: everything is counted, and from the right moment."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from tests.load.tiny_server import always, never, serving
from unstall.clock import NS_PER_MS, NS_PER_S, SystemClock
from unstall.errors import MissingExtra, UsageError
from unstall.load import Outcome, Progress, Share, Stream, constant, run, witness
from unstall.load.engine import CLIENTS, Generator, Limits
from unstall.model.plan import Example

pytestmark = pytest.mark.live

MS = NS_PER_MS


def burst(count: int, every_ms: int = 2, name: str = "load", path: str = "/work") -> Stream:
    return Stream(name, "GET", path, tuple(index * every_ms * MS for index in range(count)))


def test_every_answer_is_counted_by_its_status() -> None:
    async def play() -> None:
        async def mostly(number: int) -> int:
            return 500 if number % 4 == 0 else 200

        async with serving(mostly) as seen:
            load = (await run(seen.url, [burst(20)]))["load"]
        assert (load.due, load.sent, load.dropped) == (20, 20, 0)
        assert load.statuses == {"200": 15, "500": 5}
        assert load.latency.count == load.service.count == load.lateness.count == 20

    asyncio.run(play())


def test_a_request_carries_its_method_path_headers_and_scenario() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            stream = Stream("späte Last", "DELETE", "things?all=1", (0,), {"Accept": "text/x"})
            named = Stream("other", "GET", "/", (0,), {"X-Scenario": "mine"})
            await run(seen.url + "/", [stream])
            await run(seen.url, [named])
        assert seen.heads[0].startswith("DELETE /things?all=1 HTTP/1.1\r\n")
        assert "accept: text/x\r\n" in seen.heads[0].lower()
        assert "X-Scenario: späte Last\r\n" in seen.heads[0]
        assert "X-Scenario: mine\r\n" in seen.heads[1]

    asyncio.run(play())


def test_a_body_is_sent_with_every_request() -> None:
    async def play() -> None:
        bodies: list[bytes] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            bodies.append(await reader.readexactly(5))
            writer.write(b"HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await run(url, [Stream("post", "POST", "/", (0, MS), body=b"hello")])
        assert bodies == [b"hello", b"hello"]

    asyncio.run(play())


def test_a_server_that_hangs_is_given_up_and_counts_with_the_whole_wait() -> None:
    async def play() -> None:
        async with serving(never) as seen:
            load = (await run(seen.url, [burst(5)], timeout_s=0.2))["load"]
        assert (load.timed_out, load.answered, load.unanswered) == (5, 0, 0)
        assert load.latency.min_ns >= 200 * MS
        assert load.service.count == 0

    asyncio.run(play())


def test_what_is_open_at_the_end_is_unanswered_and_counts_with_its_wait() -> None:
    async def play() -> None:
        async with serving(never) as seen:
            load = (await run(seen.url, [burst(5)], timeout_s=60, drain_s=0.1))["load"]
        assert (load.unanswered, load.timed_out, load.sent) == (5, 0, 5)
        assert load.latency.count == 5
        assert load.latency.min_ns >= 100 * MS

    asyncio.run(play())


def test_a_refused_connection_is_an_error_and_never_a_fast_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and never listening: refused for certain
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        load = asyncio.run(run(url, [burst(3)], timeout_s=7))["load"]
    assert (load.errors, load.failed, load.answered) == ({"refused": 3}, 3, 0)
    assert load.latency.min_ns >= 7 * NS_PER_S


def test_a_connection_that_breaks_is_an_error_of_its_own_kind() -> None:
    async def play() -> None:
        async def broken(_: int) -> None:
            return None

        async with serving(broken) as seen:
            load = (await run(seen.url, [burst(3)]))["load"]
        assert load.failed == 3
        assert set(load.errors) <= {"closed", "reset"}

    asyncio.run(play())


def test_the_cap_drops_what_is_due_and_says_so() -> None:
    async def play() -> None:
        async with serving(never) as seen:
            outcome = await run(
                seen.url, [burst(20), burst(3, name="few")], in_flight=4, drain_s=0.05
            )
        load, few = outcome["load"], outcome["few"]
        assert (load.due, load.sent, load.dropped) == (20, 4, 16)
        assert (few.sent, few.dropped) == (3, 0), "one stream's cap is not another's"
        assert load.latency.count == 4

    asyncio.run(play())


def test_requests_keep_leaving_while_nothing_is_answered() -> None:
    async def play() -> None:
        all_are_here = asyncio.Event()

        async def stalled(number: int) -> int:
            if number == 39:
                all_are_here.set()
            await all_are_here.wait()
            return 200

        async with serving(stalled) as seen:
            stream = Stream("load", "GET", "/", constant(100, 0.4))
            load = (await run(seen.url, [stream], drain_s=30))["load"]
        assert (load.sent, load.answered) == (40, 40)
        assert seen.connections == 40, "none waited for another's connection"
        # The first was meant to leave 0.39 s before the last, which ended the stall.
        assert load.latency.max_ns >= 390 * MS

    asyncio.run(play())


def test_latency_counts_from_the_intended_time_when_the_generator_itself_is_late() -> None:
    async def play() -> None:
        async def freeze_us_both(number: int) -> int:
            if number == 0:
                time.sleep(0.6)
            return 200

        async with serving(freeze_us_both) as seen:
            outcome = await run(seen.url, [Stream("load", "GET", "/", (0, 300 * MS))])
        load = outcome["load"]
        assert load.answered == 2
        assert load.lateness.max_ns >= 250 * MS
        assert load.latency.sum_ns == load.lateness.sum_ns + load.service.sum_ns
        assert not outcome.trustworthy

    asyncio.run(play())


def test_a_witness_opens_a_connection_for_every_request() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            outcome = await run(seen.url, [witness("/livez", rate=50, seconds=0.2)])
        assert outcome["witness"].statuses == {"200": 10}
        assert seen.connections == 10

    asyncio.run(play())


def test_a_stream_uses_an_idle_connection_again() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            await run(seen.url, [burst(10, every_ms=20)])
        assert seen.connections < 10

    asyncio.run(play())


def test_the_witness_is_not_held_up_by_a_load_that_hangs() -> None:
    async def play() -> None:
        async def only_livez(number: int) -> int:
            if seen.heads[number].startswith("GET /work "):
                await asyncio.Event().wait()
            return 200

        async with serving(only_livez) as seen:
            streams = [burst(100), witness("/livez", rate=20, seconds=0.5)]
            outcome = await run(seen.url, streams, drain_s=1)
        assert outcome["load"].unanswered == 100
        assert outcome["witness"].statuses == {"200": 10}

    asyncio.run(play())


def test_progress_is_told_while_it_runs() -> None:
    async def play() -> list[Progress]:
        glances: list[Progress] = []
        async with serving(never) as seen:
            await run(seen.url, [burst(4)], drain_s=0.5, progress=glances.append, progress_s=0.02)
        return glances

    last = asyncio.run(play())[-1]
    assert (last.due, last.sent, last.answered, last.in_flight) == (4, 4, 0, 4)


def test_an_error_of_the_progress_callback_is_raised() -> None:
    def broken(_: Progress) -> None:
        raise LookupError("no terminal")

    async def play() -> None:
        async with serving(always) as seen:
            await run(seen.url, [burst(40, every_ms=5)], progress=broken, progress_s=0.01)

    with pytest.raises(LookupError, match="no terminal"):
        asyncio.run(play())


def test_no_stream_at_all_is_an_empty_outcome() -> None:
    assert asyncio.run(run("http://127.0.0.1:9", [])) == Outcome()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "localhost:80", "http://", "http://[::1"])
def test_a_url_that_cannot_be_used_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UsageError, match="no request can be sent to"):
        asyncio.run(run(url, [burst(1)]))


def test_two_streams_need_two_names() -> None:
    with pytest.raises(UsageError, match="'load'"):
        asyncio.run(run("http://127.0.0.1:9", [burst(1), burst(1)]))


def test_without_the_client_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingExtra, match=r"unstall\[load\]"):
        asyncio.run(run("http://127.0.0.1:9", [burst(1)], client="httpx2"))


def test_a_client_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="give unstall, httpx2, httpx"):
        asyncio.run(run("http://127.0.0.1:9", [burst(1)], client="curl"))


async def ids_sent(**headers: str) -> list[str]:
    """The `X-Request-ID` of each of three requests, as a server reads them."""
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        seen.append(head.partition("x-request-id: ")[2].partition("\r\n")[0])
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await run(url, [Stream("bursts of two", "GET", "/", (0, 1, 2), headers=headers)])
    return sorted(seen)


def test_each_request_has_an_id_of_its_own_by_which_the_server_can_name_it() -> None:
    assert asyncio.run(ids_sent()) == ["bursts-of-two-1", "bursts-of-two-2", "bursts-of-two-3"]


def test_an_id_that_the_stream_brings_is_kept() -> None:
    assert asyncio.run(ids_sent(**{"X-Request-ID": "mine"})) == ["mine"] * 3


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_sends_the_same_and_counts_the_same(client: str) -> None:
    async def play() -> None:
        async def mostly(number: int) -> int | None:
            return (200, 404, None)[number % 3]

        async with serving(mostly) as seen:
            stream = Stream(
                "load", "POST", "/a?b=${seq}", tuple(range(0, 60 * MS, 10 * MS)), {"X-A": "${uuid}"}
            )  # fmt: skip
            load = (await run(seen.url, [stream], client=client))["load"]
        assert load.statuses == {"200": 2, "404": 2}
        assert (load.failed, load.sent) == (2, 6)
        assert sorted(head.partition("\r\n")[0] for head in seen.heads) == [
            f"POST /a?b={n} HTTP/1.1" for n in range(1, 7)
        ]
        for name in ("x-a", "x-scenario", "x-request-id", "traceparent", "user-agent"):
            values = {
                head.lower().partition(f"{name}: ")[2].partition("\r\n")[0] for head in seen.heads
            }
            assert "" not in values
            assert len(values) == (1 if name in ("x-scenario", "user-agent") else 6)

    asyncio.run(play())


def test_the_seconds_of_a_stream_add_up_to_the_stream() -> None:
    async def play() -> None:
        async def mostly(number: int) -> int:
            return 503 if number == 0 else 200

        async with serving(mostly) as seen:
            stream = Stream("load", "GET", "/", (0, 10 * MS, 1_010 * MS))
            load = (await run(seen.url, [stream]))["load"]
        assert [(each.at, each.due, each.good) for each in load.seconds] == [(0, 2, 1), (1, 1, 1)]
        assert sum(each.latency.count for each in load.seconds) == load.latency.count == 3
        assert sum(each.latency.sum_ns for each in load.seconds) == load.latency.sum_ns

    asyncio.run(play())


def test_what_is_dropped_is_due_in_its_second_and_in_no_latency() -> None:
    async def play() -> None:
        async with serving(never) as seen:
            load = (await run(seen.url, [burst(9)], in_flight=4, drain_s=0.01))["load"]
        assert [(each.due, each.latency.count) for each in load.seconds] == [(9, 4)]

    asyncio.run(play())


def test_shares_of_a_run_send_all_of_it_and_nothing_twice() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            for share in Share(0, 1).split(3):
                stream = Stream("load", "GET", "/${seq}", tuple(range(10)))
                async with Generator(seen.url, [stream], Limits(), share=share) as generator:
                    await generator.run(SystemClock().monotonic_ns())
        asked = sorted(int(head.split("/")[1].split()[0]) for head in seen.heads)
        assert asked == list(range(1, 11))

    asyncio.run(play())


def test_shares_can_be_split_again() -> None:
    parts = [part for share in Share(0, 2).split(1) + Share(1, 2).split(3) for part in [share]]
    numbers = sorted(n for part in parts for n in range(part.which, 60, part.of))
    assert numbers == list(range(60))


def test_a_run_that_is_stopped_keeps_what_it_has() -> None:
    async def play() -> None:
        async with serving(never) as seen:
            stop = asyncio.Event()
            stream = Stream("load", "GET", "/", range(0, 60 * NS_PER_S, 10 * MS))
            async with Generator(seen.url, [stream], Limits()) as generator:
                asyncio.get_running_loop().call_later(0.1, stop.set)
                await generator.run(SystemClock().monotonic_ns(), stop=stop)
                load = generator.outcome()["load"]
        assert 0 < load.due < 1_000
        assert load.unanswered == load.sent == load.due == load.latency.count

    asyncio.run(play())


def test_an_endless_schedule_takes_no_memory_and_no_time_beforehand() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            stop = asyncio.Event()
            stream = Stream("load", "GET", "/", (n * 10 * MS for n in itertools.count()))
            async with Generator(seen.url, [stream], Limits()) as generator:
                asyncio.get_running_loop().call_later(0.1, stop.set)
                await generator.run(SystemClock().monotonic_ns(), stop=stop)
                assert generator.outcome()["load"].due > 0

    asyncio.run(play())


def test_a_schedule_that_fails_fails_the_run() -> None:
    def offsets() -> Iterator[int]:
        yield 0
        raise LookupError("no more")

    async def play() -> None:
        async with serving(always) as seen:
            await run(seen.url, [Stream("load", "GET", "/", offsets())])

    with pytest.raises(LookupError, match="no more"):
        asyncio.run(play())


def test_examples_are_sent_in_turn() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            examples = (Example("/a", {"X-A": "1"}), Example("/b?c=${seq}", body="b"))
            headers = {"X-Seq": "${seq}"}
            stream = Stream("load", "GET", "/", (0, 10 * MS, 20 * MS), headers, examples=examples)
            await run(seen.url, [stream])
        heads = {head.partition("X-Seq: ")[2][0]: head for head in seen.heads}
        assert [heads[n].split()[1] for n in "123"] == ["/a", "/b?c=${seq}", "/a"]
        assert ["X-A: 1\r\n" in heads[n] for n in "123"] == [True, False, True]

    asyncio.run(play())
