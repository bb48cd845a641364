"""Templates that are compiled for each request, because what keeps them is made for each request."""

from pathlib import Path
from typing import Annotated

import jinja2
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment

app = FastAPI()


def renderer(folders: list[str] | None = None) -> Jinja2Templates:
    templates = Jinja2Templates(directory=[Path("templates"), *(folders or [])])
    templates.env.globals["TITLE"] = "x"
    return templates


@app.get("/returned")
async def returned(request: Request) -> HTMLResponse:
    return renderer().TemplateResponse(request, "index.html")  # expect: US205 loop


@app.exception_handler(KeyError)
async def error_page(request: Request, error: Exception) -> HTMLResponse:
    templates = renderer(["errors"])
    return templates.TemplateResponse(request, "error.html")  # expect: US205 loop


@app.get("/direct")
async def direct() -> HTMLResponse:
    env = Environment(loader=FileSystemLoader("templates"))
    return HTMLResponse(env.get_template("index.html").render())  # expect: US205 loop


@app.get("/inner")
async def inner() -> HTMLResponse:
    page = renderer().env.select_template(["a.html", "b.html"])  # expect: US205 loop
    return HTMLResponse(page.render())


def _environment(folder: str) -> jinja2.Environment:
    return SandboxedEnvironment(loader=FileSystemLoader(folder))


def _render(folder: str, name: str) -> str:
    environment = _environment(folder)
    return environment.get_template(name).render()  # expect: US205 loop


@app.get("/files")
async def files() -> list[str]:
    return [_render("files", name) for name in ("a.html", "b.html")]


def templates_of() -> Jinja2Templates:
    return Jinja2Templates(directory="templates")


@app.get("/asked")
async def asked(
    request: Request, templates: Annotated[Jinja2Templates, Depends(templates_of)]
) -> HTMLResponse:
    return templates.TemplateResponse(request, "index.html")  # expect: US205 loop
