import redis

cache = redis.StrictRedis(host="cache", socket_timeout=0.5, socket_connect_timeout=0.5)


def load(item: str) -> object:
    pipe = cache.pipeline()
    pipe.get(item)
    pipe.ttl(item)
    return pipe.execute()  # expect: US104 loop
