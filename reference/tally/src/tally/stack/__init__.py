"""PostgreSQL and Valkey from wheels or from the system, for as long as a `with` block lasts."""

from __future__ import annotations

from tally.stack.errors import StackError
from tally.stack.postgres import Postgres
from tally.stack.stack import Stack
from tally.stack.valkey import Valkey

__all__ = ["Postgres", "Stack", "StackError", "Valkey"]
