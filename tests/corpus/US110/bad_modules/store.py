import docker

engine = docker.from_env(timeout=5)


def load(item: str) -> object:
    container = engine.containers.run("alpine", "true", detach=True)  # expect: US110 loop
    container.stop()  # expect: US110 loop
    return item
