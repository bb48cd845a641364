"""Templates that are compiled once, and what compiles off the loop."""

from functools import lru_cache
from typing import Annotated

from elsewhere import once_only
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from jinja2 import BytecodeCache, Environment, FileSystemBytecodeCache, FileSystemLoader

app = FastAPI()
TEMPLATES = Jinja2Templates(directory="templates")
COMPILED: BytecodeCache = FileSystemBytecodeCache()
app.state.templates = Jinja2Templates(directory="templates")


@app.get("/module")
async def of_the_module(request: Request) -> HTMLResponse:
    # clean: made when the module is loaded
    return TEMPLATES.TemplateResponse(request, "index.html")


@app.get("/state")
async def of_the_app(request: Request) -> HTMLResponse:
    templates: Jinja2Templates = request.app.state.templates
    # clean: kept by the app
    return templates.TemplateResponse(request, "index.html")


@lru_cache
def cached() -> Jinja2Templates:
    return Jinja2Templates(directory="templates")


@app.get("/cached")
async def of_a_cache(request: Request) -> HTMLResponse:
    # clean: kept by the cache
    return cached().TemplateResponse(request, "index.html")


@once_only
def memorised() -> Jinja2Templates:
    return Jinja2Templates(directory="templates")


@app.get("/memorised")
async def of_a_decorator(request: Request) -> HTMLResponse:
    # clean: the decorator may keep it
    return memorised().TemplateResponse(request, "index.html")


_kept: Jinja2Templates | None = None


def kept() -> Jinja2Templates:
    global _kept
    if _kept is None:
        _kept = Jinja2Templates(directory="templates")
    return _kept


@app.get("/kept")
async def of_a_global(request: Request) -> HTMLResponse:
    # clean: made by the first request
    return kept().TemplateResponse(request, "index.html")


BY_FOLDER: dict[str, Environment] = {}


def environment(folder: str) -> Environment:
    env = BY_FOLDER.get(folder)
    if env is None:
        env = Environment(loader=FileSystemLoader(folder))
        BY_FOLDER[folder] = env
    return env


@app.get("/folder")
async def of_a_table(folder: str) -> HTMLResponse:
    # clean: one for each folder
    return HTMLResponse(environment(folder).get_template("index.html").render())


@app.get("/bytecode")
async def compiled_before() -> HTMLResponse:
    env = Environment(loader=FileSystemLoader("templates"), bytecode_cache=COMPILED)
    # clean: what was compiled is kept elsewhere
    return HTMLResponse(env.get_template("index.html").render())


@app.get("/bytecode-later")
async def compiled_before_too() -> HTMLResponse:
    env = Environment(loader=FileSystemLoader("templates"))
    env.bytecode_cache = COMPILED
    # clean: what was compiled is kept elsewhere
    return HTMLResponse(env.get_template("index.html").render())


@app.get("/around")
async def around_a_kept_one(request: Request) -> HTMLResponse:
    # clean: the environment is kept
    return Jinja2Templates(env=TEMPLATES.env).TemplateResponse(request, "index.html")


class Pages:
    def __init__(self) -> None:
        self.env = Environment(loader=FileSystemLoader("templates"))

    def page(self, name: str) -> str:
        # clean: one for the object, which lives as long as the process
        return self.env.get_template(name).render()


pages = Pages()


@app.get("/object")
async def of_an_object() -> HTMLResponse:
    return HTMLResponse(pages.page("index.html"))


async def shared() -> Jinja2Templates:
    return TEMPLATES


@app.get("/asked")
async def asked(
    request: Request, templates: Annotated[Jinja2Templates, Depends(shared)]
) -> HTMLResponse:
    # clean: the dependency gives the one of the module
    return templates.TemplateResponse(request, "index.html")


@app.get("/thread")
def in_a_thread(request: Request) -> HTMLResponse:
    templates = Jinja2Templates(directory="templates")
    # clean: a plain def route runs in the thread pool
    return templates.TemplateResponse(request, "index.html")


_page = ""


@app.get("/page")
async def once() -> HTMLResponse:
    global _page
    if not _page:
        env = Environment(loader=FileSystemLoader("templates"))
        # clean: the page itself is kept
        _page = env.get_template("index.html").render()
    return HTMLResponse(_page)
