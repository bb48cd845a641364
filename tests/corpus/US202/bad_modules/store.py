import bz2


def load(item: str) -> object:
    return bz2.compress(item.encode())  # expect: US202 loop
