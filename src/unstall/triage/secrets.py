"""What must not be printed or lie about in files: passwords, tokens, and values of the app's environment.

Names stay, and so does what a placeholder stands for: that something was sent is worth knowing. What is
masked once stays as it is when it is masked again.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace

from unstall.model.plan import Example, Plan, Scenario
from unstall.model.proof import Run

HIDDEN = "…"

_NAME = (
    r"(?:auth(?!or(?!i[sz]))|cookie|token|secret|passw|passphrase|passcode|pwd|credential|signature|session"
    r"|jwt|(?:api|access|private|signing|encryption|account|license|master|shared)[-_ ]?key"
    r"|(?<![a-z])otp(?![a-z]))"
)
_TELLING = re.compile(_NAME, re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")
_ASSIGNED = re.compile(
    rf"{_NAME}[\w.\[\]%-]{{0,64}}(?:\\?[\"']\s{{0,8}}:\s{{0,8}}|\s{{0,8}}=\s{{0,8}}|:\s{{1,8}})",
    re.IGNORECASE,
)
"""A name that tells, up to its value: of JSON, a form, a query, a command, a header; not `app.auth:app`."""
_OPTION = re.compile(rf"(?<![\w-])--[\w-]{{0,32}}?{_NAME}[\w-]{{0,32}}\s+(?!-)", re.IGNORECASE)
_ELEMENT = re.compile(rf"(<[^<>]{{0,64}}?{_NAME}[^<>]{{0,200}}>)([^<>]+)(?=</)", re.IGNORECASE)
_PART = re.compile(
    rf"(\bname=\"?[^\"\r\n]{{0,64}}?{_NAME}[^\r\n]{{0,200}}(?:\r?\n[^\r\n]{{1,200}}){{0,8}}\r?\n\r?\n)(.*?)(?=\r?\n--|\Z)",
    re.IGNORECASE | re.DOTALL,
)
"""Of multipart forms."""
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=\bBearer )[\w.~+/=-]{8,}|(?<=\bBasic )[A-Za-z0-9+/=]{8,}"
    r"|\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{35}\b"
    r"|\b(?:sk|rk|pk)[-_][\w-]{16,}|\bgh[pousr]_\w{20,}|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}",
    re.DOTALL,
)
"""Secrets by their looks, wherever they stand."""
_PLACEHOLDER = r"\$\{(?!choice)[^{}]*\}"
_VALUE = re.compile(
    r'"(?P<two>(?:[^"\\]|\\.)*)"|\\"(?P<inner>.*?)\\"|\'(?P<one>(?:[^\'\\]|\\.)*)\''
    rf"|(?P<bare>(?:(?:Bearer|Basic|Digest|Token)\s+)?(?:{_PLACEHOLDER}|[^\s&;,\"'<>{{}}\[\]()\\])+)",
    re.IGNORECASE | re.DOTALL,
)
_MADE = re.compile(
    rf"\s*(?:(?:Bearer|Basic|Digest|Token)\s+)?(?:{_PLACEHOLDER})+\s*", re.IGNORECASE
)
_VARIABLE = re.compile(r"pass|pwd|secret|token|key|credential", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^/:]*:).*@|(://)[^/?#]*@", re.DOTALL)
"""Of a URL that is all there is: passwords stand in it as people write them, also with a slash, an @ or a
space. So what has a colon is hidden up to the last @."""
_SCHEME = re.compile(r"\s*[a-z][a-z0-9+.-]*://")
_IN_DSN = re.compile(
    r"((?:pass\w*|pwd|secret|token|\w*key)\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|(?:\\.|\S)*)", re.IGNORECASE
)
"""As libpq has it."""
_DSN = re.compile(r"\s*\w+\s*=")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]')


def without_secrets(plan: Plan) -> Plan:
    app = replace(
        plan.app,
        command=in_text(plan.app.command),
        url=in_text(plan.app.url),
        env=dict.fromkeys(plan.app.env, HIDDEN),
    )
    return replace(
        plan,
        name=in_text(plan.name),
        app=app,
        witness=replace(plan.witness, path=in_text(plan.witness.path)),
        scenarios=tuple(map(_of_scenario, plan.scenarios)),
    )


def without_secrets_of(run: Run) -> Run:
    """Also where it says of the plan what was asked, and of the app what it said last."""
    return replace(
        run,
        target=in_text(run.target),
        plan=without_secrets(run.plan),
        unexercised=tuple(
            replace(each, route=in_text(each.route), why=in_text(each.why))
            for each in run.unexercised
        ),
        gaps=tuple(map(in_text, run.gaps)),
        phases=tuple(
            replace(each, because=in_text(each.because), ended=in_text(each.ended))
            for each in run.phases
        ),
    )


def masked(plan: Plan) -> tuple[str, ...]:
    """What of a plan without secrets is not the real value, in words."""
    app = plan.app
    told = [f"env {name} of [app]" for name, value in app.env.items() if HIDDEN in value]
    told += [f"{key} of [app]" for key in ("command", "url") if HIDDEN in getattr(app, key)]
    if HIDDEN in plan.witness.path:
        told.append("path of [witness]")
    for each in plan.scenarios:
        told += [f"{part} of scenario {each.name!r}" for part in dict.fromkeys(_masked(each))]
    return tuple(told)


def in_text(text: str) -> str:
    """Without what stands before the @ of a URL, without values of names that tell, and without tokens."""
    text = _IN_URL.sub(HIDDEN, text)
    if _TELLING.search(text):
        text = _ELEMENT.sub(_second, text)
        text = _PART.sub(_second, text)
        for name in (_ASSIGNED, _OPTION):
            text = _without_values(text, name)
    return _SHAPES.sub(HIDDEN, text)


def in_value(name: str, value: str) -> str:
    """Of a variable that says where something is: nothing else is in it, so more is hidden than in a text."""
    scheme = _SCHEME.match(value)
    whole = f"{scheme[0] if scheme else ''}{HIDDEN}"
    if _VARIABLE.search(name):  # of a webhook, the path is the secret
        return whole
    if not scheme and _DSN.match(value):
        value = _of_dsn(value)
    before, at, behind = value.rpartition("@")
    # Nobody can tell whether that @ ends who is let in, or is of the password.
    if at and any(names.search(before) for names in (_IN_DSN, _ASSIGNED)):
        return whole
    if scheme:
        bare = _USERINFO.sub(lambda match: f"{match[1] or match[2]}{HIDDEN}@", value)
    else:
        bare = f"{HIDDEN}@{behind}" if at else value
    return in_text(_of_dsn(bare))


def _of_dsn(value: str) -> str:
    return _IN_DSN.sub(rf"\1{HIDDEN}", value)


def _second(match: re.Match[str]) -> str:
    return match[1] + _of_value(match[2])


def _of_value(text: str) -> str:
    """What a placeholder makes is no secret of the plan."""
    return text if not text or _MADE.fullmatch(text) else HIDDEN


def _without_values(text: str, name: re.Pattern[str]) -> str:
    """With each value after such a name hidden, in its quotes; of a list or an object the whole."""
    parts: list[str] = []
    at = 0
    while (found := name.search(text, at)) is not None:
        parts.append(text[at : found.end()])
        at = found.end()
        if text[at : at + 1] in ("{", "["):
            at = _closed(text, at)
            parts.append(f'"{HIDDEN}"')
        elif (value := _VALUE.match(text, at)) is not None:
            kind = value.lastgroup or "bare"
            parts.append(value[0].replace(value[kind], _of_value(value[kind]), 1))
            at = value.end()
    return "".join((*parts, text[at:]))


def _closed(text: str, at: int) -> int:
    """After the bracket that closes the one there; where none does, the end."""
    depth = 0
    for match in _BRACKETS.finditer(text, at):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    return len(text)


# --- of a scenario ------------------------------------------------------------------------------


def _of_scenario(scenario: Scenario) -> Scenario:
    return replace(
        scenario,
        path=in_text(scenario.path),
        headers=_of_headers(scenario.headers),
        body=in_text(scenario.body),
        examples=tuple(map(_of_example, scenario.examples)),
    )


def _of_example(example: Example) -> Example:
    return replace(
        example,
        path=in_text(example.path),
        headers=_of_headers(example.headers),
        body=_in_bytes(example) if example.base64 else in_text(example.body),
    )


def _in_bytes(example: Example) -> str:
    """Forms with files hold what is no text beside what is; as bytes, each is a letter."""
    text = example.content.decode("latin-1")
    hidden = HIDDEN.encode().decode("latin-1")
    kept = in_text(text.replace(hidden, HIDDEN)).replace(HIDDEN, hidden)
    return example.body if kept == text else b64encode(kept.encode("latin-1")).decode()


def _of_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: _of_value(value) if _TELLING.search(name) else in_text(value)
        for name, value in headers.items()
    }


def _masked(scenario: Scenario) -> Iterator[str]:
    asked: tuple[Scenario | Example, ...] = (scenario, *scenario.examples)
    for each in asked:
        if HIDDEN in each.path:
            yield "path"
        yield from (f"header {name}" for name, value in each.headers.items() if HIDDEN in value)
    if HIDDEN in scenario.body or any(_is_masked(each) for each in scenario.examples):
        yield "body"


def _is_masked(example: Example) -> bool:
    return HIDDEN.encode() in example.content
