"""US112, US113: what the first request, or each line of a log, has to wait for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.entrances_index import Def
from unstall.audit.ir import Module, Place
from unstall.audit.rules.subject import Spot, Subject, found, shown
from unstall.model.finding import Confidence, Finding

HEAVY = frozenset(
    """
    tensorflow torch transformers sentence_transformers pandas polars scipy sklearn matplotlib plotly cv2
    spacy nltk xgboost lightgbm librosa whisper faster_whisper langchain llama_index diffusers jax keras
    pyarrow dask pyspark networkx sympy statsmodels gensim easyocr paddleocr onnxruntime datasets chromadb
    weasyprint docx openpyxl google.cloud botocore boto3 kubernetes litellm
    """.split()
)
"""Importing these takes a tenth of a second or more."""


def check_imports(subject: Subject) -> Iterator[Finding]:
    """US112. What some module imports at its top is loaded at start-up."""
    early: set[str] = set()
    late: list[tuple[Def, Module, ast.Import | ast.ImportFrom, str]] = []
    for module, statement in subject.shapes.imports:
        for name in _imported(statement):
            around = subject.function_at(module, statement.lineno)
            if around is None:
                early.add(name)
            elif _package(name):
                late.append((around, module, statement, name))
    for around, module, lazy, name in sorted(late, key=lambda each: (each[1].file, each[2].lineno)):
        package = _package(name)
        ways = subject.requests(around.id, Place.LOOP)
        if ways and not any(e == package or e.startswith(f"{package}.") for e in early):
            spot = Spot(module.file, lazy.lineno, shown(around.id), f"import {name}")
            because = f"the first request imports {package}, which nothing imports at start-up"
            yield found("US112", spot, because, ways=ways, confidence=Confidence.LIKELY)
            early.add(package)


def _package(name: str) -> str:
    """The package whose import takes long; empty: it does not."""
    return next((p for p in HEAVY if name == p or name.startswith(f"{p}.")), "")


def _imported(statement: ast.AST) -> list[str]:
    match statement:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str() as module, level=0):
            return [module]
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
    for use, name in subject.calls(REMOTE | FILES, everywhere=True):
        if queued or use.in_main or not subject.is_run(use.where):
            continue
        spot = subject.spot(use.where, use.call, name)
        yield from _told(spot, name)
    for module, text in () if queued else subject.shapes.classes:
        if text.value in REMOTE | FILES:
            yield from _told(
                Spot(module.file, text.lineno, "<module>", str(text.value)), str(text.value)
            )


def _told(spot: Spot, name: str) -> Iterator[Finding]:
    remote = name in REMOTE
    because = "each line logged on the loop waits for " + ("a log server" if remote else "the disk")
    confidence = Confidence.LIKELY if remote else Confidence.POSSIBLE
    yield found("US113", spot, because, confidence=confidence, runs_on=Place.LOOP)
