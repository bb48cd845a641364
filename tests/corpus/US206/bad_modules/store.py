import re

NAME = re.compile(r"^(\w+\s?)+$")  # expect: US206 loop


def load(item: str) -> object:
    return bool(NAME.match(item))
