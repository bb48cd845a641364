import time


def load(item: str) -> object:
    time.sleep(len(item))  # expect: US101 loop
    return item
