"""Objects that a container of dependencies makes and hands over."""

import httpx
import punq
import svcs
from dependency_injector import containers, providers
from dependency_injector.wiring import Provide, inject
from dishka.integrations.fastapi import FromDishka
from fastapi import Depends, FastAPI

app = FastAPI()
ready = httpx.AsyncClient()


class Store:
    def __init__(self, client) -> None:
        self.client = client

    def load(self) -> str:
        return self.client.get("/").text  # expect: US102 loop

    async def load_ready(self, client: httpx.AsyncClient) -> str:
        return (await client.get("/")).text  # clean: this client is asynchronous


def opened():
    client = httpx.Client()
    yield client
    client.close()


class Slow:
    def __init__(self) -> None:
        httpx.get("http://one.internal")  # expect: US102 loop


def made_slowly() -> str:
    return httpx.get("http://one.internal").text  # expect: US102 loop


class Once:
    def __init__(self) -> None:
        httpx.get("http://one.internal")  # clean: made once, and nobody here sees when


class Clients(containers.DeclarativeContainer):
    plain = providers.Singleton(httpx.Client)


class Container(containers.DeclarativeContainer):
    clients = providers.Container(Clients)
    slow = providers.Factory(Slow)
    made = providers.Callable(made_slowly)
    once = providers.Singleton(Once)
    client = providers.Singleton(httpx.Client, base_url="http://one.internal")
    ready = providers.Singleton(httpx.AsyncClient, base_url="http://one.internal")
    store = providers.Factory(Store, client=client)
    resource = providers.Resource(opened)
    given = providers.Object(httpx.Client())


container = Container()


@app.get("/called")
async def called() -> str:
    container.client().get("/")  # expect: US102 loop
    Container.resource().get("/")  # expect: US102 loop
    container.given().get("/")  # expect: US102 loop
    container.clients.plain().get("/")  # expect: US102 loop
    container.slow()
    container.made()
    container.once()
    await container.ready().get("/")  # clean: this client is asynchronous
    return "ok"


@app.get("/injected")
@inject
async def injected(
    client=Depends(Provide[Container.client]),
    ready=Depends(Provide[Container.ready]),
    store: Store = Depends(Provide[Container.store]),
    named=Depends(Provide["clients.plain"]),
    named_ready=Depends(Provide["ready"]),
) -> str:
    client.get("/")  # expect: US102 loop
    named.get("/")  # expect: US102 loop
    await named_ready.get("/")  # clean: this client is asynchronous
    await ready.get("/")  # clean: this client is asynchronous
    return store.load()


@app.get("/thread")
@inject
def in_a_thread(client=Depends(Provide[Container.client])) -> str:
    return client.get("/").text  # clean: a plain route runs in a thread


class Stock:
    def count(self) -> str:
        return httpx.get("http://stock.internal").text  # expect: US102 loop


class Ready:
    async def count(self) -> str:
        return (await ready.get("/")).text  # clean: this client is asynchronous


@app.get("/stock")
async def stock(held: FromDishka[Stock], ready: FromDishka[Ready]) -> str:
    await ready.count()
    return held.count()


registry = punq.Container()
registry.register(Stock)


@app.get("/resolved")
async def resolved(services: svcs.fastapi.DepContainer) -> str:
    await registry.resolve(Ready).count()
    await (await services.aget(Ready)).count()
    services.get(Stock)
    return registry.resolve(Stock).count()
