"""What lanes are given to do in a soak. Subinterpreters import it, and so it imports next to nothing."""

import time


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def fail() -> None:
    raise LookupError("as asked")
