"""What is said of a template that is compiled for each request."""

from __future__ import annotations

from pathlib import Path

from unstall.audit.audit import audit
from unstall.model.finding import Confidence, Finding

HEAD = """\
from fastapi import FastAPI, Request
from fastapi.templating import Jinja2Templates
app = FastAPI()
"""
PAGES = """\
from fastapi.templating import Jinja2Templates
def renderer(folder="a"):
    return Jinja2Templates(directory=folder)
"""


def told(root: Path, body: str) -> list[Finding]:
    (root / "main.py").write_text(HEAD + body)
    (root / "pages.py").write_text(PAGES)
    return list(audit(root, only=frozenset({"US205"})).findings)


def test_the_line_that_makes_the_environment_is_named(tmp_path: Path) -> None:
    body = """\
from pages import renderer
@app.get("/")
async def index(request: Request):
    return renderer().TemplateResponse(request, "index.html")
"""
    (found,) = told(tmp_path, body)
    assert found.site is not None
    assert (found.site.file, found.site.line, found.impact) == ("main.py", 7, "low")
    assert found.site.call == "starlette.templating.Jinja2Templates.TemplateResponse"
    assert "pages.py:3" in str(found.evidence[0].because)
    assert found.remedy.summary.startswith("make the environment once")


def test_a_kept_one_is_told_as_a_rendering_of_microseconds(tmp_path: Path) -> None:
    body = """\
templates = Jinja2Templates(directory="a")
@app.get("/")
async def index(request: Request):
    return templates.TemplateResponse(request, "index.html")
"""
    assert [each.impact for each in told(tmp_path, body)] == ["trivial"]


def test_one_that_may_be_kept_is_not_told(tmp_path: Path) -> None:
    body = """\
from pages import renderer
kept = renderer()
def chosen(cached=True):
    if cached:
        return kept
    return renderer()
@app.get("/")
async def index(request: Request, cached: bool):
    return chosen(cached).TemplateResponse(request, "index.html")
@app.get("/b")
async def other(request: Request):
    templates = kept
    if request.headers:
        templates = renderer()
    return templates.TemplateResponse(request, "index.html")
"""
    assert {each.impact for each in told(tmp_path, body)} == {"trivial"}


def test_who_only_may_come_there_is_no_more_than_possible(tmp_path: Path) -> None:
    body = """\
from pages import renderer
def page(request, full=False):
    if full:
        return renderer().TemplateResponse(request, "index.html")
@app.get("/")
async def index(request: Request):
    return page(request)
"""
    found = told(tmp_path, body)
    assert [each.confidence for each in found] == [Confidence.POSSIBLE]
