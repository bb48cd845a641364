"""US112, US113: what the first request, or each line of a log, has to wait for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.constants import always
from unstall.audit.entrances_index import Def, Use
from unstall.audit.ir import Module, Place
from unstall.audit.rules.arguments import argument
from unstall.audit.rules.subject import Spot, Subject, found, shown
from unstall.model.finding import Confidence, Finding

HEAVY = frozenset(
    """
    tensorflow torch transformers sentence_transformers pandas polars scipy sklearn matplotlib plotly cv2
    spacy nltk xgboost lightgbm librosa whisper faster_whisper langchain llama_index diffusers jax keras
    pyarrow dask pyspark networkx sympy statsmodels gensim easyocr paddleocr onnxruntime datasets chromadb
    weasyprint docx openpyxl google.cloud google.genai google.generativeai botocore boto3 kubernetes litellm
    openai anthropic pydantic_ai
    """.split()
)
"""Importing these takes a tenth of a second or more."""


def check_imports(subject: Subject) -> Iterator[Finding]:
    """US112. What some module imports at its top is loaded at start-up."""
    early: set[str] = set()
    late: list[tuple[Def, Module, ast.Import | ast.ImportFrom, str]] = []
    for module, statement in subject.shapes.imports:
        for name in filter(_package, _imported(statement)):
            around = subject.function_at(module, statement.lineno)
            if around is not None:
                late.append((around, module, statement, name))
            elif not _never_run(module, statement):
                early.add(name)
    for around, module, lazy, name in sorted(late, key=lambda each: (each[1].file, each[2].lineno)):
        package = _package(name)
        ways = subject.requests(around.id, Place.LOOP)
        if ways and not any(e == package or e.startswith(f"{package}.") for e in early):
            spot = Spot(module.file, lazy.lineno, shown(around.id), f"import {name}")
            because = f"the first request imports {package}, which nothing imports at start-up"
            yield found("US112", spot, because, ways=ways, confidence=Confidence.LIKELY)
            early.add(package)


def _never_run(module: Module, statement: ast.stmt) -> bool:
    """It stands under `if TYPE_CHECKING`, at the top of its module."""
    return any(
        statement in block.body
        for block in module.tree.body
        if isinstance(block, ast.If) and always(block.test) is False
    )


def _package(name: str) -> str:
    """The package whose import takes long; empty: it does not."""
    return next((p for p in HEAVY if name == p or name.startswith(f"{p}.")), "")


def _imported(statement: ast.AST) -> list[str]:
    match statement:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str() as module, level=0, names=names):
            inner = (f"{module}.{alias.name}" for alias in names)  # `from google import genai`
            return [module] if _package(module) else list(inner)
        case _:
            return []


REMOTE = frozenset(
    "logging.handlers.SocketHandler logging.handlers.SysLogHandler logging.handlers.HTTPHandler "
    "logging.handlers.SMTPHandler".split()
)
FILES = frozenset(
    "logging.FileHandler logging.handlers.RotatingFileHandler logging.handlers.TimedRotatingFileHandler "
    "logging.handlers.WatchedFileHandler".split()
)


def check_handlers(subject: Subject) -> Iterator[Finding]:
    """US113"""
    if not any(e.place is Place.LOOP for e in subject.program.entrances):
        return
    queued = any(
        True
        for _ in subject.calls(("logging.handlers.QueueListener", "logging.handlers.QueueHandler"))
    )
    made = () if queued else subject.calls(REMOTE | FILES, everywhere=True)
    for use, name in (*made, *_loguru_files(subject)):
        if not use.in_main and subject.is_run(use.where):
            yield from _told(subject.spot(use.where, use.call, name), name)
    for module, text in () if queued else subject.shapes.classes:
        if text.value in REMOTE | FILES:
            yield from _told(
                Spot(module.file, text.lineno, "<module>", str(text.value)), str(text.value)
            )


_LOGURU = "loguru.logger.add"
_OF_FILES = frozenset("rotation retention compression".split())
_PATHS = frozenset({"builtins.str", "pathlib.PurePath"})


def _loguru_files(subject: Subject) -> Iterator[tuple[Use, str]]:
    """Files that loguru writes in the thread that logs."""
    if "loguru" in subject.index.imports:
        for use, name in subject.calls((_LOGURU,), everywhere=True):
            keywords = {keyword.arg for keyword in use.call.keywords}
            sink = argument(use.call, "sink", 0)
            is_path = sink is not None and not _PATHS.isdisjoint(subject.types(use.where, sink))
            if (is_path or keywords & _OF_FILES) and not _may_be_queued(use.call):
                yield use, name


def _may_be_queued(call: ast.Call) -> bool:
    """`enqueue=True`: a thread of loguru's own writes."""
    said = [keyword.value for keyword in call.keywords if keyword.arg in ("enqueue", None)]
    return any(not isinstance(each, ast.Constant) or bool(each.value) for each in said)


def _told(spot: Spot, name: str) -> Iterator[Finding]:
    remote = name in REMOTE
    because = "each line logged on the loop waits for " + ("a log server" if remote else "the disk")
    confidence = Confidence.LIKELY if remote else Confidence.POSSIBLE
    remedy = "give it enqueue=True: a thread of loguru's own writes" if name == _LOGURU else ""
    yield found("US113", spot, because, confidence=confidence, runs_on=Place.LOOP, remedy=remedy)
