"""What collections look through while much is kept."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from unstall.audit.room import room_to_work, swept


class Tree:
    """It refers to itself, as what was read of a package does."""

    top: Tree

    def __init__(self) -> None:
        self.top = self


@pytest.fixture(autouse=True)
def nothing_frozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_was_made_inside_goes_at_once() -> None:
    with room_to_work():
        with swept():
            gone = weakref.ref(Tree())
            kept = Tree()
        assert gone() is None
        assert kept.top is kept
    assert gc.get_freeze_count() == 0


def test_what_was_garbage_before_is_not_looked_for() -> None:
    with room_to_work():
        old = weakref.ref(Tree())
        with swept():
            pass
        tree = old()
        assert tree is not None
        del tree.top  # as it came, without a collection of the whole process


def test_it_is_swept_after_an_error_as_well() -> None:
    def work() -> None:
        with swept():
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert gc.get_freeze_count() == 0


def test_what_somebody_else_has_frozen_stays_frozen() -> None:
    gc.freeze()
    with swept():
        pass
    assert gc.get_freeze_count() > 0
