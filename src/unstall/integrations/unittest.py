"""unittest: a trap around each test method.

class OrderTests(TrapMixin, IsolatedAsyncioTestCase):
    async def test_create(self): ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from unstall.errors import UsageError
from unstall.integrations.blocked import said_of
from unstall.traps.trap import trap


class TrapMixin:
    """First among the bases of a test case. `setUp`, `tearDown` and clean-ups may block."""

    unstall_threshold_ms: ClassVar[float | None] = None
    """As for `unstall.trap`."""
    unstall_ignore: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        before = cls.__mro__[: cls.__mro__.index(TrapMixin)]
        theirs = [each for each in before if each.__module__.partition(".")[0] == "unittest"]
        if theirs:
            raise UsageError(
                f"{cls.__qualname__} has TrapMixin behind {theirs[0].__name__}, so it would trap nothing: "
                "write TrapMixin first among its bases"
            )

    def _callTestMethod(self, method: Callable[[], Any]) -> Any:
        """What `run` calls between `setUp` and `tearDown`, of plain and of asynchronous test cases."""
        kept = trap(threshold_ms=self.unstall_threshold_ms, ignore=self.unstall_ignore)
        with kept as caught:
            result = super()._callTestMethod(method)  # type: ignore[misc]
        if caught.errors:
            raise self.failureException(said_of(caught.errors))  # type: ignore[attr-defined]
        return result
