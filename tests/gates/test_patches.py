"""Methods are replaced, and put back as they were."""

from __future__ import annotations

from typing import Any

import pytest

from unstall.gates.patches import Patches


class Base:
    def double(self, number: int) -> int:
        """Twice."""
        return 2 * number

    @classmethod
    def name(cls) -> str:
        return cls.__name__


class Child(Base):
    pass


def _louder(original: Any) -> Any:
    def ours(self: Any, *args: Any) -> Any:
        got = original(self, *args)
        return got * 10 if isinstance(got, int) else f"{got}!"

    return ours


def test_a_method_is_replaced_and_put_back() -> None:
    before = vars(Base)["double"]
    patches = Patches()
    patches.wrap(Base, "double", _louder)
    assert Child().double(2) == 40
    assert Base.double.__doc__ == "Twice."
    patches.restore()
    assert vars(Base)["double"] is before


def test_a_class_method_stays_one() -> None:
    before = vars(Base)["name"]
    patches = Patches()
    patches.wrap(Base, "name", _louder)
    assert Child.name() == "Child!"
    patches.restore()
    assert vars(Base)["name"] is before


def test_a_method_wrapped_twice_is_put_back_to_the_first() -> None:
    before = vars(Base)["double"]
    patches = Patches()
    patches.wrap(Base, "double", _louder)
    patches.wrap(Base, "double", _louder)
    assert Base().double(2) == 400
    patches.restore()
    assert vars(Base)["double"] is before


def test_what_somebody_wrapped_again_is_left_to_them() -> None:
    before = vars(Base)["double"]
    patches = Patches()
    patches.wrap(Base, "double", _louder)
    theirs = _louder(vars(Base)["double"])
    Base.double = theirs  # type: ignore[method-assign]
    patches.restore()
    assert vars(Base)["double"] is theirs
    Base.double = before  # type: ignore[method-assign]


def test_a_method_that_is_not_there_is_said() -> None:
    with pytest.raises(LookupError, match=r"Child has no double"):
        Patches().wrap(Child, "double", _louder)
