from __future__ import annotations

import inspect

import pytest

from tally import legacy
from tally.legacy import BillingClient, BillingError
from tests.reference.tally.upstreams.serving import serving


def test_usage_is_booked_and_a_receipt_comes_back() -> None:
    with serving() as urls:
        client = BillingClient(urls["billing"][0])
        first = client.record_usage(7, 12)
        assert client.record_usage(7, 12) != first


def test_with_a_reference_a_repetition_gets_the_first_receipt() -> None:
    with serving(pods=2) as urls:
        receipts = {BillingClient(url).record_usage(7, 12, "u-1") for url in urls["billing"]}
        assert len(receipts) == 1


def test_what_billing_refuses_is_an_error() -> None:
    with serving() as urls, pytest.raises(BillingError, match="400"):
        BillingClient(urls["billing"][0]).record_usage(7, 0)


def test_nobody_at_home_is_an_error() -> None:
    with pytest.raises(BillingError, match="did not take the usage"):
        BillingClient("http://127.0.0.1:1").record_usage(7, 1)


def test_it_has_no_time_out_and_a_client_of_its_own_each_time() -> None:
    """Both are what the service must live with: nobody may mend them here."""
    source = inspect.getsource(legacy.BillingClient)
    assert "timeout" not in source
    assert "Session" not in source
