"""Paths as a flowchart."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.report.sources import CLEAN_PATH, PATH
from unstall.model.finding import Entry
from unstall.report.mermaid import render

NODE = re.compile(r'^\s+(\w+)\["([^"]*)"\]:::(\w+)$', re.MULTILINE)
EDGE = re.compile(r"^\s+(\w+) (?:-->|-\.->) (\w+)$", re.MULTILINE)


def test_each_step_is_a_box_with_its_place() -> None:
    boxes = {label: look for _, label, look in NODE.findall(render([PATH]))}
    assert boxes["middleware Timing<br/>loop"] == "loop"
    assert boxes["dependency session<br/>thread pool"] == "pool"
    assert boxes["subprocess.run<br/>US107, line 40"] == "blocks"


def test_every_edge_joins_two_boxes_and_every_class_is_defined() -> None:
    text = render([PATH, CLEAN_PATH])
    boxes = {name for name, _, _ in NODE.findall(text)}
    assert len(boxes) == 8
    assert {name for edge in EDGE.findall(text) for name in edge} <= boxes
    assert {look for _, _, look in NODE.findall(text)} <= set(re.findall(r"classDef (\w+)", text))
    assert text.count("subgraph ") == text.count("end\n") == 2


def test_calls_that_begin_alike_share_their_boxes() -> None:
    step = PATH.steps[-1]
    first = step.blocking[0]
    second = replace(first, site=replace(first.site, line=99, call="commit"))
    text = render([replace(PATH, steps=(replace(step, blocking=(first, second)),))])
    assert text.count('["Repo.load"]') == 1
    assert text.count(":::blocks") == 2


def test_names_cannot_end_a_label() -> None:
    odd = Entry("route", 'GET /"x"<b>#1', "a:b")
    text = render([replace(PATH, entry=odd)])
    assert 'subgraph p0["GET /#quot;x#quot;#lt;b#gt;#35;1"]' in text
