"""Any value of `model`, made from the type hints of its class."""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from unstall.model.histogram import Histogram
from unstall.model.place import Frame

TEXTS = st.text(max_size=8)
COUNTS = st.integers(0, 2**53 - 1)
HISTOGRAMS = st.lists(st.integers(0, 10**12), max_size=8).map(Histogram.of)


def values_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Values of a frozen class, its optional fields absent or present."""
    if cls is Histogram:
        return HISTOGRAMS
    hints = get_type_hints(cls)
    return st.builds(
        cls, **{field.name: _values(hints[field.name]) for field in dataclasses.fields(cls)}
    )


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_values(arg) for arg in args))
    if origin is tuple and args[-1] is Ellipsis:
        least = 1 if args[0] is Frame else 0  # a stack is never empty
        return st.lists(_values(args[0]), min_size=least, max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXTS, _values(args[1]), max_size=2)
    if dataclasses.is_dataclass(hint):
        return values_of(hint)  # type: ignore[arg-type]
    known = {
        str: TEXTS,
        int: COUNTS,
        float: st.floats(0, 1e9),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return known[hint] if hint in known else st.sampled_from(list(hint))
