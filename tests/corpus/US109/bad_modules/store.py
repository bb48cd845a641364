from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(4)


def load(item: str) -> object:
    future = pool.submit(len, item)
    return future.result(timeout=2)  # expect: US109 loop
