"""A real proxy between real sockets. What is held is held for an hour, and let go by hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.upstreams import (
    PATIENCE_S,
    Upstream,
    asked,
    connected,
    echo,
    is_reset,
    is_silent,
    received,
    serving,
)
from unstall.chaos import Chaos, Proxy
from unstall.errors import UsageError
from unstall.model.plan import Fault
from unstall.prove.processes import free_port

AN_HOUR = 3_600.0


@pytest.fixture
def chaos(request: pytest.FixtureRequest) -> Iterator[Chaos]:
    with Chaos(seed=7, apart=getattr(request, "param", False)) as chaos:
        yield chaos


both = pytest.mark.parametrize("chaos", [False, True], indirect=True, ids=["a thread", "apart"])
"""On a thread of this process, and in a process of its own, which takes long to start."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving() as upstream:
        yield upstream


@pytest.fixture
def proxy(chaos: Chaos, upstream: Upstream) -> Proxy:
    return chaos.proxy("BILLING_URL", upstream.address)


def until(holds: Callable[[], bool]) -> None:
    """What is on its way comes."""
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, "it did not come"
        time.sleep(0.002)


def test_without_toxics_bytes_go_through_unchanged(proxy: Proxy, upstream: Upstream) -> None:
    data = os.urandom(3_000_000)
    with connected(proxy.addresses[0]) as client:
        sending = threading.Thread(target=client.sendall, args=(data,))
        sending.start()
        assert received(client, len(data)) == data
        sending.join()
    assert bytes(upstream.seen) == data


@both
def test_every_question_and_answer_is_one_exchange(proxy: Proxy) -> None:
    with connected(proxy.addresses[0]) as one, connected(proxy.addresses[0]) as other:
        for _ in range(50):
            assert asked(one, b"question") == b"question"
            assert asked(other, b"another") == b"another"
    counts = proxy.counts(reset=True)
    assert (counts.upstream, counts.connections, counts.exchanges) == ("BILLING_URL", 2, 100)
    assert (counts.hit, counts.thrown, counts.unreachable) == (0, 0, 0)
    assert proxy.counts().exchanges == 0


def test_what_a_server_says_first_is_an_exchange(chaos: Chaos) -> None:
    def greet(connection: socket.socket, upstream: Upstream) -> None:
        connection.sendall(b"220 hello")
        echo(connection, upstream)

    with serving(greet) as upstream:
        proxy = chaos.proxy("mail", upstream.address)
        with connected(proxy.addresses[0]) as client:
            assert received(client, 9) == b"220 hello"
            asked(client, b"HELO")
        assert proxy.counts().exchanges == 2


@both
def test_a_hang_holds_the_answer_and_nothing_else(proxy: Proxy, upstream: Upstream) -> None:
    with connected(proxy.addresses[0]) as client:
        toxic = proxy.put(Fault("BILLING_URL", "hang", seconds=AN_HOUR))
        client.sendall(b"question")
        until(lambda: bytes(upstream.seen) == b"question")
        assert is_silent(client)
        assert toxic.hits == proxy.counts().hit == 1
        toxic.remove()
        assert received(client, 8) == b"question"


def test_what_follows_a_held_answer_waits_behind_it(proxy: Proxy, upstream: Upstream) -> None:
    with connected(proxy.addresses[0]) as client:
        held = proxy.add("hang", seconds=AN_HOUR)
        client.sendall(b"first")
        until(lambda: bytes(upstream.seen) == b"first")
        client.sendall(b"second")
        until(lambda: bytes(upstream.seen) == b"firstsecond")
        assert is_silent(client)
        held.remove()
        assert received(client, 11) == b"firstsecond"


def test_only_what_began_since_is_met(proxy: Proxy, upstream: Upstream) -> None:
    with connected(proxy.addresses[0]) as client:
        assert asked(client, b"before") == b"before"
        toxic = proxy.add("blackhole")
        assert toxic.thrown == 0
        client.sendall(b"after")
        until(lambda: toxic.hits == 1)
        assert bytes(upstream.seen) == b"before"


def test_where_bytes_were_taken_the_connection_ends_with_the_toxic(proxy: Proxy) -> None:
    with connected(proxy.addresses[0]) as client, connected(proxy.addresses[0]) as other:
        asked(other, b"other")
        toxic = proxy.add("blackhole")
        client.sendall(b"question")
        until(lambda: toxic.hits == 1)
        assert is_silent(client)
        toxic.remove()
        assert received(client, 1) == b""
        assert asked(other, b"still") == b"still"


def test_thrown_for_connections_it_meets_those_that_are_open(proxy: Proxy) -> None:
    with connected(proxy.addresses[0]) as client:
        asked(client, b"before")
        toxic = proxy.add("hang", seconds=AN_HOUR, per="connection")
        with connected(proxy.addresses[0]) as late:
            until(lambda: toxic.hits == toxic.thrown == 2)
            for each in (client, late):
                each.sendall(b"x")
                each.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    each.recv(1)


def test_the_same_seed_meets_the_same_exchanges(upstream: Upstream) -> None:
    assert _hits(7, upstream) == _hits(7, upstream) != _hits(8, upstream)


def test_what_went_before_a_toxic_does_not_matter(upstream: Upstream) -> None:
    assert _hits(7, upstream, before=13) == _hits(7, upstream)


def _hits(seed: int, upstream: Upstream, before: int = 0) -> list[bool]:
    """Which of 200 exchanges, each on whichever of two connections, were hit."""
    with Chaos(seed) as chaos:
        proxy = chaos.proxy("billing", upstream.address)
        with connected(proxy.addresses[0]) as one, connected(proxy.addresses[0]) as other:
            for _ in range(before):
                asked(other, b"x")
            toxic = proxy.add("jitter", jitter=0, probability=0.2)
            hits, known = [], 0
            for n in range(200):
                asked((one, other)[n % 3 % 2], b"x")
                hits.append(toxic.hits > known)
                known = toxic.hits
        return hits


def test_the_share_of_hits_is_within_its_binomial_interval(proxy: Proxy) -> None:
    with connected(proxy.addresses[0]) as client:
        toxic = proxy.add("jitter", jitter=0, probability=0.05)
        for _ in range(2_000):
            asked(client, b"x")
    counts = proxy.counts()
    assert (counts.exchanges, counts.thrown, toxic.thrown) == (2_000, 2_000, 2_000)
    assert counts.hit == toxic.hits
    assert 81 <= counts.hit <= 120  # 95 % of binomial(2000, 0.05); the seed makes it one number


def test_a_connection_is_reset_in_the_middle(proxy: Proxy) -> None:
    proxy.add("reset_peer")
    with connected(proxy.addresses[0]) as client:
        client.sendall(b"question")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_new_connection_is_refused_and_an_old_one_is_not(proxy: Proxy) -> None:
    with connected(proxy.addresses[0]) as old:
        asked(old, b"old")
        toxic = proxy.add("refuse")
        assert is_reset(proxy.addresses[0])
        assert toxic.hits == 1
        assert asked(old, b"still") == b"still"


def test_down_cuts_everybody_and_listens_nowhere_until_it_is_removed(proxy: Proxy) -> None:
    with connected(proxy.addresses[0]) as client:
        asked(client, b"up")
        toxic = proxy.add("down")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert proxy.counts().hit == toxic.hits == 1
        with pytest.raises(ConnectionRefusedError):
            connected(proxy.addresses[0])
    toxic.remove()
    with connected(proxy.addresses[0]) as client:
        assert asked(client, b"up") == b"up"


def test_an_answer_is_cut_in_the_middle(proxy: Proxy) -> None:
    proxy.add("truncate", fraction=0.5)
    with connected(proxy.addresses[0]) as client:
        client.sendall(b"0123456789")
        assert received(client, 10) == b"01234"


def test_a_timeout_closes_a_connection_that_says_nothing(proxy: Proxy) -> None:
    proxy.add("timeout", timeout=1, per="connection")
    with connected(proxy.addresses[0]) as client:
        assert received(client, 1) == b""


def test_latency_bandwidth_and_slices_lose_nothing(proxy: Proxy) -> None:
    proxy.add("latency", latency=1, jitter=1)
    proxy.add("bandwidth", rate=50_000)
    proxy.add("slicer", average_size=1_000, size_variation=500, delay=1)
    data = os.urandom(200_000)
    with connected(proxy.addresses[0]) as client:
        sending = threading.Thread(target=client.sendall, args=(data,))
        sending.start()
        assert received(client, len(data)) == data
        sending.join()


def test_one_of_two_toxics_goes_and_the_other_still_holds(proxy: Proxy, upstream: Upstream) -> None:
    with connected(proxy.addresses[0]) as client:
        slow = proxy.add("latency", latency=AN_HOUR * 1000)
        hung = proxy.add("hang", seconds=AN_HOUR)
        client.sendall(b"question")
        until(lambda: bytes(upstream.seen) == b"question")
        slow.remove()
        assert is_silent(client)
        hung.remove()
        assert received(client, 8) == b"question"


@both
def test_toxics_come_and_go_under_traffic_and_no_byte_is_lost(chaos: Chaos, proxy: Proxy) -> None:
    answers: list[bool] = []

    def talk(number: int) -> None:
        with connected(proxy.addresses[0]) as client:
            for n in range(60):
                question = b"%d/%d;" % (number, n) * 200
                answers.append(asked(client, question) == question)

    talking = [threading.Thread(target=talk, args=(n,)) for n in range(6)]
    for each in talking:
        each.start()
    while any(each.is_alive() for each in talking):
        toxics = [
            proxy.add("latency", latency=2, jitter=2, probability=0.5),
            proxy.add("hang", seconds=AN_HOUR, probability=0.1),
            proxy.add("bandwidth", rate=2_000, per="connection", probability=0.5),
            proxy.add("slicer", average_size=100, size_variation=50, delay=10, probability=0.5),
            proxy.add("jitter", jitter=2, stream="upstream"),
        ]
        for toxic in toxics:
            toxic.remove()
    assert answers == [True] * 360
    assert proxy.counts().connections == 6
    assert not chaos.notes


def test_two_toxics_of_a_kind_have_names_of_their_own(proxy: Proxy) -> None:
    names = [proxy.add("latency", latency=1).name for _ in range(3)]
    assert names == ["latency_downstream", "latency_downstream_2", "latency_downstream_3"]


def test_clear_takes_all_toxics_away(proxy: Proxy, upstream: Upstream) -> None:
    with connected(proxy.addresses[0]) as client:
        proxy.add("hang", seconds=AN_HOUR)
        proxy.add("latency", latency=AN_HOUR * 1000)
        client.sendall(b"x")
        until(lambda: bytes(upstream.seen) == b"x")
        proxy.clear()
        assert received(client, 1) == b"x"
        assert asked(client, b"y") == b"y"


@both
def test_a_toxic_begins_and_ends_by_its_schedule(proxy: Proxy) -> None:
    with connected(proxy.addresses[0]) as client:
        late = proxy.add("blackhole", after=AN_HOUR)
        assert asked(client, b"x") == b"x"
        assert late.thrown == 0
        brief = proxy.add("hang", seconds=AN_HOUR, until=0.6)
        client.sendall(b"y")
        assert received(client, 1) == b"y"  # it was held, and let go when the time was over
        assert brief.hits == 1
        assert asked(client, b"z") == b"z"
        assert brief.hits == 1


def test_one_bad_upstream_of_several_with_an_address_each(chaos: Chaos) -> None:
    with serving() as bad, serving() as good:
        proxy = chaos.proxy("PODS", [bad.address, good.address])
        proxy.add("refuse", bad=1)
        assert is_reset(proxy.addresses[0])
        with connected(proxy.addresses[1]) as client:
            assert asked(client, b"x") == b"x"
        assert (bad.connections, good.connections) == (0, 1)


def test_one_bad_upstream_of_three_behind_one_address(chaos: Chaos) -> None:
    with serving() as first, serving() as second, serving() as third:
        pods = [first.address, second.address, third.address]
        proxy = chaos.proxy("PODS", pods, shared=True)
        assert len(proxy.addresses) == 1
        toxic = proxy.add("blackhole", bad=1)
        clients = [connected(proxy.addresses[0]) for _ in range(6)]
        for client in clients:
            client.sendall(b"x")
        until(lambda: toxic.hits == 2)
        answered = [received(clients[n], 1) for n in (1, 2, 4, 5)]
        assert answered == [b"x"] * 4
        assert is_silent(clients[0])
        assert is_silent(clients[3])
        assert toxic.thrown == 2
        for client in clients:
            client.close()


def test_one_upstream_of_two_behind_one_address_is_down(chaos: Chaos) -> None:
    with serving() as first, serving() as second:
        proxy = chaos.proxy("PODS", [first.address, second.address], shared=True)
        proxy.add("down", bad=1)
        assert is_reset(proxy.addresses[0])
        with connected(proxy.addresses[0]) as client:
            assert asked(client, b"x") == b"x"


@both
def test_more_bad_upstreams_than_there_are_is_told(proxy: Proxy) -> None:
    with pytest.raises(
        UsageError, match=r"^bad is 2, and BILLING_URL has 1 upstream: give no more"
    ):
        proxy.add("refuse", bad=2)


def test_a_half_closed_connection_still_gets_its_answer(chaos: Chaos) -> None:
    def at_the_end(connection: socket.socket, upstream: Upstream) -> None:
        while data := connection.recv(65_536):
            upstream.seen += data
        connection.sendall(bytes(upstream.seen[::-1]))

    with serving(at_the_end) as upstream:
        proxy = chaos.proxy("whole", upstream.address)
        with connected(proxy.addresses[0]) as client:
            client.sendall(b"abc")
            client.shutdown(socket.SHUT_WR)
            assert received(client, 10) == b"cba"


def test_a_client_that_leaves_is_told_to_the_upstream(proxy: Proxy, upstream: Upstream) -> None:
    client = connected(proxy.addresses[0])
    asked(client, b"x")
    client.close()
    assert upstream.over.acquire(timeout=PATIENCE_S)


def test_an_upstream_that_resets_resets_its_client(chaos: Chaos) -> None:
    def rude(connection: socket.socket, upstream: Upstream) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(rude) as upstream:
        proxy = chaos.proxy("rude", upstream.address)
        with connected(proxy.addresses[0]) as client:
            client.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                client.recv(1)


@both
def test_an_upstream_that_is_not_there_resets_its_client_and_is_counted(chaos: Chaos) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    proxy = chaos.proxy("GONE", address)
    for _ in range(3):
        assert is_reset(proxy.addresses[0])
    counts = proxy.counts()
    assert (counts.connections, counts.unreachable) == (3, 3)
    (note,) = chaos.notes
    assert note.startswith(f"GONE: 127.0.0.1:{address[1]} does not take connections (")


def test_a_reader_that_is_slow_slows_its_writer(chaos: Chaos) -> None:
    """Otherwise the proxy would hold what the client does not take."""
    sent = 0

    def pour(connection: socket.socket, upstream: Upstream) -> None:
        nonlocal sent
        connection.recv(1)
        connection.settimeout(0.3)
        try:
            for _ in range(1_000):
                sent += connection.send(bytes(100_000))
        except TimeoutError:
            upstream.seen += b"stuck"

    with serving(pour) as upstream:
        proxy = chaos.proxy("big", upstream.address)
        with connected(proxy.addresses[0]) as client:
            client.sendall(b"x")
            until(lambda: bytes(upstream.seen) == b"stuck")
            assert sent < 50_000_000
            assert len(received(client, sent)) == sent


def test_what_a_hang_holds_is_bounded(chaos: Chaos) -> None:
    def pour(connection: socket.socket, upstream: Upstream) -> None:
        connection.recv(1)
        connection.settimeout(0.3)
        try:
            for _ in range(1_000):
                upstream.seen += bytes(connection.send(bytes(100_000)))
        except TimeoutError:
            upstream.over.release()

    with serving(pour) as upstream:
        proxy = chaos.proxy("big", upstream.address)
        toxic = proxy.add("hang", seconds=AN_HOUR)
        with connected(proxy.addresses[0]) as client:
            client.sendall(b"x")
            assert upstream.over.acquire(timeout=PATIENCE_S)
            assert len(upstream.seen) < 50_000_000
            toxic.remove()
            assert len(received(client, len(upstream.seen))) == len(upstream.seen)


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_ipv6_on_both_sides(chaos: Chaos) -> None:
    with serving(family=socket.AF_INET6) as upstream:
        proxy = chaos.proxy("six", upstream.address, listen="[::1]:0")
        assert proxy.address.startswith("[::1]:")
        with connected(proxy.addresses[0]) as client:
            assert asked(client, b"x") == b"x"


def test_an_upstream_by_name(chaos: Chaos, upstream: Upstream) -> None:
    proxy = chaos.proxy("named", f"localhost:{upstream.address[1]}")
    with connected(proxy.addresses[0]) as client:
        assert asked(client, b"x") == b"x"


def test_a_unix_socket_as_upstream(chaos: Chaos, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with serving(family=socket.AF_UNIX, place=path):
        proxy = chaos.proxy("unix", f"unix:{path}")
        proxy.add("jitter", jitter=0)
        with connected(proxy.addresses[0]) as client:
            assert asked(client, b"x") == b"x"


def test_a_loop_that_uses_it_may_be_frozen(proxy: Proxy) -> None:
    async def frozen() -> bytes:
        with connected(proxy.addresses[0]) as client:  # blocks the loop, as the app under test does
            return asked(client, b"x")

    assert asyncio.run(frozen()) == b"x"


def test_it_is_used_from_an_asynchronous_test_without_being_caught(
    chaos: Chaos, upstream: Upstream
) -> None:
    from unstall import trap

    async def used() -> None:
        proxy = chaos.proxy("async", upstream.address)
        proxy.add("latency", latency=1).remove()
        proxy.counts()

    with trap() as caught:
        asyncio.run(used())
    assert [finding.site for finding in caught.findings] == []


def test_when_it_is_closed_nothing_is_left(upstream: Upstream) -> None:
    connected(upstream.address).close()  # what the first one opens for good
    threads, descriptors = set(threading.enumerate()), _descriptors()
    with Chaos() as chaos:
        proxy = chaos.proxy("billing", f"localhost:{upstream.address[1]}")
        chaos.serve("127.0.0.1:0")
        proxy.add("hang", seconds=AN_HOUR)
        clients = [connected(proxy.addresses[0]) for _ in range(20)]
        for client in clients:
            client.sendall(b"x")
        until(lambda: proxy.counts().hit == 20)
        until(lambda: upstream.connections == 21)  # a name has to be looked up for each
    for client in clients:
        client.close()
    chaos.close()
    for _ in range(20):
        assert upstream.over.acquire(timeout=PATIENCE_S)
    until(lambda: _descriptors() <= descriptors)
    assert not [each for each in set(threading.enumerate()) - threads if "unstall" in each.name]


def _descriptors() -> Counter[str]:
    """Sockets by their own numbers, and how many selectors there are."""
    here = Path("/proc/self/fd")
    targets = []
    for each in here.iterdir() if here.exists() else ():
        with contextlib.suppress(OSError):  # the one that lists them
            targets.append(os.readlink(each))  # noqa: PTH115 - it is no path
    return Counter(target for target in targets if target.startswith(("socket:", "anon_inode:")))


@both
def test_a_proxy_is_closed_alone(chaos: Chaos, proxy: Proxy, upstream: Upstream) -> None:
    other = chaos.proxy("other", upstream.address)
    with connected(proxy.addresses[0]) as client:
        asked(client, b"x")
        proxy.close()
        assert _ended(client)
    with pytest.raises(ConnectionRefusedError):
        connected(proxy.addresses[0])
    with connected(other.addresses[0]) as client:
        assert asked(client, b"x") == b"x"


def _ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@both
def test_a_port_that_is_taken_is_told_and_the_rest_is_let_go(chaos: Chaos) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free, port = free_port(), taken.getsockname()[1]
        places = [f"127.0.0.1:{free}", f"127.0.0.1:{port}"]
        with pytest.raises(UsageError, match=rf"127.0.0.1:{port}, and somebody listens there"):
            chaos.proxy("two", ["127.0.0.1:1", "127.0.0.1:2"], listen=places)
        assert chaos.counts() == ()
        chaos.proxy("one", "127.0.0.1:1", listen=places[0])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda chaos: chaos.proxy("x", []), "x has no upstream: give HOST:PORT"),
        (
            lambda chaos: chaos.proxy("x", "nowhere"),
            "upstream of x is 'nowhere', which is not under",
        ),
        (
            lambda chaos: chaos.proxy("x", "h:1", listen="0.0.0.0:0"),
            "listen of x is 0.0.0.0:0, which",
        ),
        (
            lambda chaos: chaos.proxy("x", ["h:1", "h:2"], listen="127.0.0.1:0"),
            "x has 1 addresses to listen on and 2 upstreams",
        ),
        (
            lambda chaos: [chaos.proxy("x", "127.0.0.1:1") for _ in range(2)],
            "there is a proxy 'x' already: give another name",
        ),
    ],
)
def test_bad_input_is_told(call: Callable[[Chaos], object], sentence: str, chaos: Chaos) -> None:
    with pytest.raises(UsageError) as told:
        call(chaos)
    assert str(told.value).startswith(sentence)


def test_counts_are_there_when_all_is_over(upstream: Upstream) -> None:
    with Chaos() as chaos:
        proxy = chaos.proxy("billing", upstream.address)
        toxic = proxy.add("jitter", jitter=0)
        with connected(proxy.addresses[0]) as client:
            asked(client, b"x")
    toxic.remove()
    assert (proxy.counts().exchanges, proxy.counts().hit, toxic.hits) == (1, 1, 1)


def test_it_must_run_to_be_used() -> None:
    with pytest.raises(UsageError, match=r"^the chaos is not running"):
        Chaos().proxy("x", "127.0.0.1:1")
