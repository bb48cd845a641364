"""Functions of which the settings say that something unseen runs them on a loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from unstall.audit.ir import Entrance, Function, Place
from unstall.errors import UsageError


def named(wanted: Iterable[str], functions: Mapping[str, Function]) -> Iterator[Entrance]:
    """One for each name, `package.module:function` or `…:Class.method`; raises UsageError."""
    for name in wanted:
        function = functions.get(name)
        if function is None:
            near = get_close_matches(name, functions, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "write package.module:function"
            raise UsageError(
                f"entrances in [tool.unstall.audit] has {name!r}, which is no function here; {advice}"
            )
        shown = name.partition(":")[2]
        yield Entrance("callback", shown, name, Place.LOOP, function.file, function.line)
