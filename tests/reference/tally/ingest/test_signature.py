"""Whose body it is."""

from __future__ import annotations

import pytest

from tally.ingest.signature import check, signed, signing_key
from tally.problems import Problem


def test_what_is_signed_with_the_key_is_taken() -> None:
    key = signing_key("secret")
    check(b"body", key, signed(b"body", key))


@pytest.mark.parametrize("given", [None, "", "sha256=", "ä", signed(b"body", signing_key("other"))])
def test_what_is_not_is_refused(given: str | None) -> None:
    with pytest.raises(Problem) as caught:
        check(b"body", signing_key("secret"), given)
    assert caught.value.status == 401
