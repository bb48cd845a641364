"""The billing vendor's SDK, as it was delivered. It blocks, has no time-out and cannot be changed.

Nobody may edit this file: it stands for every client library that a service has to live with.
"""

from __future__ import annotations

import requests


class BillingError(Exception):
    """Billing did not take the usage."""


class BillingClient:
    """Talks to one pod of the billing service."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def record_usage(self, customer: int, events: int, reference: str | None = None) -> str:
        """Book `events` for a customer and return the receipt's number.

        Usage with a `reference` that was booked before is not booked again; the first receipt is
        returned. Raises `BillingError`.
        """
        headers = {"Idempotency-Key": reference} if reference else {}
        usage = {"customer": customer, "events": events}
        try:
            response = requests.post(f"{self.url}/v1/usage", json=usage, headers=headers)
            response.raise_for_status()
            receipt: str = response.json()["receipt"]
        except (requests.RequestException, KeyError, ValueError) as error:
            raise BillingError(f"billing at {self.url} did not take the usage: {error}") from error
        return receipt
