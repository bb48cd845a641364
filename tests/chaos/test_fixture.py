"""The fixture `unstall_chaos`, in a suite of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.suites import run_suite

SUITE = """
    import socket
    import threading

    KEPT = []


    def test_a_proxy_misbehaves(unstall_chaos):
        with socket.create_server(("127.0.0.1", 0)) as server:
            proxy = unstall_chaos.proxy("BILLING_URL", server.getsockname())
            toxic = proxy.add("refuse")
            KEPT.append((unstall_chaos, proxy))
            try:
                with socket.create_connection(proxy.addresses[0]) as client:
                    assert client.recv(1) == b"never"
            except ConnectionResetError:
                pass
            assert toxic.hits == 1


    def test_and_is_closed_after_its_test():
        (chaos, proxy), = KEPT
        assert not chaos.is_running
        assert "unstall-chaos" not in [each.name for each in threading.enumerate()]
        try:
            socket.create_connection(proxy.addresses[0])
        except ConnectionRefusedError:
            return
        raise AssertionError("somebody still listens")
"""


@pytest.mark.live
@pytest.mark.parametrize("options", [(), ("--unstall",)])
def test_a_suite_uses_it(options: tuple[str, ...], tmp_path: Path) -> None:
    ran = run_suite(tmp_path, SUITE, *options)
    assert ran.counts() == "2 passed", ran.out
