from . import store


def find(item: str) -> object:
    return store.load(item.strip())
