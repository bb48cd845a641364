"""What stays out of files that people hand around."""

from __future__ import annotations

import json
import re
import string
from base64 import b64decode, b64encode
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.runs import PLAN, calm, frozen
from unstall.cli.report import rendered
from unstall.model.plan import AppPlan, Example, Plan, Scenario
from unstall.model.proof import Run, Unexercised
from unstall.report import run_json
from unstall.triage.regression import compare
from unstall.triage.same_plan import differences
from unstall.triage.secrets import HIDDEN, in_text, in_value, masked, without_secrets


def test_values_of_the_environment_are_hidden_and_names_are_not() -> None:
    app = AppPlan(env={"DATABASE_URL": "postgresql://u:hunter2@db/x", "DEBUG": "1"})
    assert without_secrets(replace(PLAN, app=app)).app.env == {
        "DATABASE_URL": HIDDEN,
        "DEBUG": HIDDEN,
    }


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("Authorization", True),
        ("Cookie", True),
        ("X-API-Key", True),
        ("X-Auth-Token", True),
        ("Content-Type", False),
        ("Accept", False),
        ("X-Scenario", False),
    ],
)
def test_headers_that_look_like_a_secret_lose_their_value(name: str, hidden: bool) -> None:
    example = Example("/x", {name: "hunter2"})
    scenario = Scenario("a", headers={name: "hunter2"}, examples=(example,))
    (kept,) = without_secrets(replace(PLAN, scenarios=(scenario,))).scenarios
    expected = {name: HIDDEN if hidden else "hunter2"}
    assert kept.headers == expected
    assert kept.examples[0].headers == expected


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("http://u:p@h:1/x", f"http://{HIDDEN}@h:1/x"),
        ("DB=postgresql://u:p@h/x uvicorn a:b", f"DB=postgresql://{HIDDEN}@h/x uvicorn a:b"),
        ("http://h/@me", "http://h/@me"),
        ("uvicorn app:app", "uvicorn app:app"),
    ],
)
def test_what_stands_before_the_at_of_a_url_is_hidden(text: str, kept: str) -> None:
    assert in_text(text) == kept


def test_a_plan_without_secrets_stays_as_it_is() -> None:
    assert without_secrets(PLAN) == PLAN


def test_a_new_token_makes_no_other_plan() -> None:
    one, other = (
        replace(PLAN, scenarios=(Scenario("a", headers={"Authorization": token}),))
        for token in ("Bearer 1", "Bearer 2")
    )
    assert differences(one, other) == ()


# --- bodies, queries and commands -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"user": "ann", "password": "hunter2"}', f'{{"user": "ann", "password": "{HIDDEN}"}}'),
        ('{"client_secret":"a\\"b","n":${int:1:5}}', f'{{"client_secret":"{HIDDEN}","n":${{int:1:5}}}}'),
        ('{"token": 123456, "n": 1}', f'{{"token": {HIDDEN}, "n": 1}}'),
        ('{"credentials": {"u": "a", "w": ["}", 1]}, "n": 1}', f'{{"credentials": "{HIDDEN}", "n": 1}}'),
        ('{"tokens": ["a", "b"', f'{{"tokens": "{HIDDEN}"'),
        (r'{"inner": "{\"password\": \"hunter2\"}"}', rf'{{"inner": "{{\"password\": \"{HIDDEN}\"}}"}}'),
        ("user=ann&password=hunter2&n=1", f"user=ann&password={HIDDEN}&n=1"),
        ("user%5Bpassword%5D=hunter2&n=1", f"user%5Bpassword%5D={HIDDEN}&n=1"),
        ("/items?api_key=hunter2&page=2", f"/items?api_key={HIDDEN}&page=2"),
        ("<p><Password a='1'>hunter2</Password></p>", f"<p><Password a='1'>{HIDDEN}</Password></p>"),
        (
            '--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n--x--',
            f'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\n{HIDDEN}\r\n--x--',
        ),
        ("API_TOKEN=hunter2 uvicorn a:b", f"API_TOKEN={HIDDEN} uvicorn a:b"),
        ("serve --db-password hunter2 --port 1", f"serve --db-password {HIDDEN} --port 1"),
        ("Authorization: Bearer hunter2hunter2", f"Authorization: {HIDDEN}"),
        ("as Bearer hunter2hunter2 said", f"as Bearer {HIDDEN} said"),
        ('{"a": "eyJhbGciOi.eyJzdWIiOj.c2ln"}', f'{{"a": "{HIDDEN}"}}'),
        ('{"a": "ghp_abcdefghij0123456789"}', f'{{"a": "{HIDDEN}"}}'),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n", f"{HIDDEN}\n"),
    ],
)  # fmt: skip
def test_what_a_telling_name_holds_is_hidden_and_the_name_is_not(text: str, kept: str) -> None:
    assert in_text(text) == kept
    assert in_text(kept) == kept, "masked twice is masked once"


@pytest.mark.parametrize(
    "text",
    [
        "uvicorn app.auth:app --port {port}",
        "app/session.py:31 in load",
        '{"author": "Ann", "page": 2}',
        '{"password": "${text:12}", "n": 1}',
        "Bearer ${env:TOKEN}",
        "/items/${int:1:100}?page=2",
        '{"authors": ["a"]}',
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert in_text(text) == text


def test_a_header_that_is_made_of_placeholders_stays_and_one_that_chooses_does_not() -> None:
    headers = {"Authorization": "Bearer ${env:TOKEN}", "X-Token": "${choice:hunter2,hunter3}"}
    (kept,) = without_secrets(replace(PLAN, scenarios=(Scenario("a", headers=headers),))).scenarios
    assert kept.headers == {"Authorization": "Bearer ${env:TOKEN}", "X-Token": HIDDEN}


def test_a_body_that_is_no_text_loses_the_secret_in_its_form() -> None:
    body = b'--x\r\nname="token"\r\n\r\nhunter2\r\n--x\r\nname="f"\r\n\r\n\xff\x00\r\n--x--'
    example = Example("/x", body=b64encode(body).decode(), base64=True)
    once = without_secrets(replace(PLAN, scenarios=(Scenario("a", examples=(example,)),)))
    kept = b64decode(once.scenarios[0].examples[0].body)
    assert kept == body.replace(b"hunter2", HIDDEN.encode())
    assert without_secrets(once) == once
    other = Example("/x", body=b64encode(b"\xff\x00").decode(), base64=True)
    plan = replace(PLAN, scenarios=(Scenario("a", examples=(other,)),))
    assert without_secrets(plan) == plan


# --- a file of a run ------------------------------------------------------------------------


def secret(word: str) -> Plan:
    scenarios = tuple(
        replace(
            each,
            path=f"{each.path}?api_key={word}",
            headers={"X-Api-Key": word},
            body=f'{{"password": "{word}"}}',
        )
        for each in PLAN.scenarios
    )
    app = replace(PLAN.app, url=f"http://u:{word}@localhost", env={"DB": f"redis://:{word}@h"})
    return replace(PLAN, app=app, scenarios=scenarios)


def test_a_file_of_a_run_holds_no_secret_says_what_was_masked_and_is_a_baseline_all_the_same() -> (
    None
):
    route = Unexercised("GET /x?api_key=hunter2", "it was refused")
    done = replace(calm(), plan=secret("hunter2"), unexercised=(route,))
    text = run_json.render(done)
    assert "hunter2" not in text
    data = json.loads(text)
    assert data["masked"] == [
        "env DB of [app]",
        "url of [app]",
        *(
            f"{part} of scenario {name!r}"
            for name in ("checkout", "browse")
            for part in ("path", "header X-Api-Key", "body")
        ),
    ]
    before = Run.from_json(data)
    assert json.loads(run_json.render(before))["masked"] == data["masked"]
    assert compare(before, replace(calm(), plan=secret("hunter3")))


@pytest.mark.parametrize("form", ["text", "json", "html", "markdown", "junit", "github"])
def test_what_the_app_said_last_is_told_without_its_secrets(form: str) -> None:
    said = "the app ended: GET /callback?token=hunter2 of postgresql://u:hunter2@db/x"
    phases = tuple(
        replace(each, because=f"{each.because}; {said}", ended=said) for each in frozen().phases
    )
    text = rendered(replace(frozen(), phases=phases), None, (), form)
    assert "hunter2" not in text
    assert "GET /callback?token" in text, "and all the rest"


def test_a_body_that_differs_beside_its_secret_is_another_plan() -> None:
    one, other = (
        replace(PLAN, scenarios=(Scenario("a", body=f'{{"n": {n}, "password": "x{n}"}}'),))
        for n in (1, 2)
    )
    assert len(differences(without_secrets(one), other)) == 1


def test_of_a_plan_without_secrets_nothing_was_masked() -> None:
    assert masked(without_secrets(PLAN)) == ()


# --- of a variable that says where something is ------------------------------------------------


SECRETS = st.text(string.ascii_uppercase + "/?#:,=&' +;@", min_size=6, max_size=20).map(
    lambda text: f"Q{text}Z"
)
"""Nothing else in what is asked below has capital letters, so none of them may be seen again."""
HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z]{2,5}){0,2}", fullmatch=True)


@given(SECRETS, HOSTS)
@example("QKEY=::Z", "a")
@example("QPASSWORD=@;Z", "a")
def test_no_letter_of_the_password_of_an_address_is_told(secret: str, host: str) -> None:
    for value in (
        f"nosuch://user:{quote(secret, safe='')}@{host}/x",
        f"nosuch://user:{secret}@{host}/x",
        f"user:{secret}@{host}",
        "user=u password='" + secret.replace("'", r"\'") + "' x=1",
    ):
        assert not re.search("[A-Z]", in_value("UPSTREAM", value))
    assert not re.search("[A-Z]", in_value("API_TOKEN", secret))


@given(SECRETS, HOSTS)
@example("Q@Z", "a")
def test_nor_one_of_a_password_behind_the_host(secret: str, host: str) -> None:
    secret = re.sub("[&#' ]", "", secret)  # of a query each would be escaped
    for value in (
        f"nosuch://{host}:1/x?password={secret}",
        f"nosuch://user:abc@{host}:1/x?password={secret}",
        f"{host}:1,ssl=true,password={secret}",
        f"jdbc:nosuch://;server={host}:1;password={secret}",
    ):
        assert not re.search("[A-Z]", in_value("UPSTREAM", value))


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("UPSTREAM", "nosuch://user:p@ss/word@host/x", f"nosuch://{HIDDEN}@host/x"),
        ("UPSTREAM", "nosuch://token@host/x", f"nosuch://{HIDDEN}@host/x"),
        ("UPSTREAM", "nosuch://host:1/x?auth=p@ssword", f"nosuch://{HIDDEN}"),
        ("WEBHOOK_SECRET", "nosuch://hooks/T0/B0/xyz", f"nosuch://{HIDDEN}"),
        ("API_KEY", "ab/cd://ef", HIDDEN),
    ],
)
def test_no_part_of_a_password_is_left(name: str, value: str, kept: str) -> None:
    assert in_value(name, value) == kept
    assert "ss/word" not in in_value("UPSTREAM", "nosuch://me@corp:p@ss/word@host/x")


@pytest.mark.parametrize(
    "value",
    [
        "http://billing:8080/v1",
        "a:1,b:2",
        "host=h port=5432 dbname=x",
        "redis://[::1]:6380/0",
        "nosuch://h/@me?sslmode=require",
    ],
)
def test_an_address_without_a_secret_is_told_whole(value: str) -> None:
    assert in_value("UPSTREAM", value) == value


def test_what_is_masked_once_stays_as_it_is() -> None:
    for value in ("amqp://u:p@h/x", "u:p@h", "host=h password='a b'", "pg://h/?password=a@b"):
        hidden = in_value("UPSTREAM", value)
        assert HIDDEN in hidden
        assert in_value("UPSTREAM", hidden) == hidden
