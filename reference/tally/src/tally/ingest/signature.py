"""X-Signature: `sha256=` and the HMAC of the body, under a key derived from `TALLY_SIGNING_KEY`."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from tally.problems import Problem

HEADER: Final = "X-Signature"
_PREFIX: Final = "sha256="
_SALT: Final = b"tally.signature.1"
_ROUNDS: Final = 1_000


def signing_key(secret: str) -> bytes:
    """About half a millisecond: what is guessed from a signature is not the secret itself."""
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), _SALT, _ROUNDS)


def signed(body: bytes, key: bytes) -> str:
    """What a client puts into the header."""
    return _PREFIX + hmac.new(key, body, "sha256").hexdigest()


def check(body: bytes, key: bytes, given: str | None) -> None:
    """Raises Problem."""
    if given is None:
        raise Problem(401, "signature", f"{HEADER} is missing: sign the body.")
    if not hmac.compare_digest(signed(body, key).encode(), given.encode()):
        raise Problem(401, "signature", f"{HEADER} is not the signature of this body.")
