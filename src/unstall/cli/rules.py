"""`unstall rules`: what there is to find, and the page of each rule."""

from __future__ import annotations

import argparse

from unstall.errors import UsageError
from unstall.report.pages import page_of
from unstall.report.terminal import write
from unstall.rules import BY_CODE, RULES, Rule
from unstall.triage.select import unknown_code

NAME = "rules"
HELP = "list the rules, or show the page of one: what it is, why it hurts, what to use instead"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("codes", metavar="CODE", nargs="*", help="such as US103")


def run(args: argparse.Namespace) -> int:
    if not args.codes:
        write("\n".join(f"{rule.code}  {rule.severity:<8}  {rule.title}" for rule in RULES))
        return 0
    write("\n\n".join(_shown(_rule(code)) for code in args.codes))
    return 0


def _rule(code: str) -> Rule:
    rule = BY_CODE.get(code.upper())
    if rule is None:
        raise UsageError(f"CODE is {unknown_code(code)}")
    return rule


def _shown(rule: Rule) -> str:
    page = page_of(rule.code)
    if page is None:
        return f"{rule.code}: {rule.title} ({rule.severity})\n\n{rule.remedy}"
    return page.rstrip("\n")
