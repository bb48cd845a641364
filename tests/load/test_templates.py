"""What is filled in follows from the seed and the number of the request, and from nothing else."""

from __future__ import annotations

import re
import uuid

import pytest

from unstall.errors import UsageError
from unstall.load.chance import draw, key_of
from unstall.load.templates import KINDS, Scope, compiled, escaped, rendered

SCOPE = Scope("orders", key_of(7, "orders"), environ={"TOKEN": "s3cret"}, wall_s=lambda: 1.5)


def fill(text: str, number: int = 0, scope: Scope = SCOPE) -> str:
    return rendered(compiled(text, scope, "the body"), number).decode()


def test_a_text_without_placeholders_is_itself() -> None:
    parts = compiled("größe {} $ $ {", SCOPE, "the body")
    assert parts == ("größe {} $ $ {".encode(),)


@pytest.mark.parametrize("text", ["a ${int", "${int:1:{5}", "${\nseq", "${"])
def test_a_placeholder_that_is_not_closed_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"the body holds '\$\{.*nothing closes its \$\{"):
        compiled(text, SCOPE, "the body")


@pytest.mark.parametrize("text", ["${", "$${", "a ${int", "${seq} $${x} ${", "$$${"])
def test_what_is_escaped_is_itself_closed_or_not(text: str) -> None:
    assert fill(escaped(text)) == text


def test_each_kind_gives_what_it_says() -> None:
    assert fill("${seq}", 0) == "1"
    assert fill("${seq}", 41) == "42"
    assert fill("${name}") == "orders"
    assert fill("${env:TOKEN}") == "s3cret"
    assert fill("${now}") == "1970-01-01T00:00:01.500Z"
    assert (fill("${now:s}"), fill("${now:ms}")) == ("1", "1500")
    assert uuid.UUID(fill("${uuid}")).version == 4
    assert uuid.UUID(fill("${uuid}")).variant == uuid.RFC_4122
    assert re.fullmatch("[a-z0-9]{25}", fill("${text:25}"))
    assert re.fullmatch("[a-f0-9]{32}", fill("${hex:32}"))
    assert fill("${text:0}") == ""
    assert 0 <= float(fill("${float:0:1}")) <= 1


def test_every_kind_is_shown_as_it_is_written() -> None:
    for word, kind in KINDS.items():
        assert kind.form.partition(":")[0] == word
        assert fill(f"${{{kind.form}}}")


def test_all_of_a_range_comes_and_nothing_beyond() -> None:
    assert {fill("${int:-2:2}", n) for n in range(200)} == {"-2", "-1", "0", "1", "2"}
    assert {fill("${choice:a,b:c,}", n) for n in range(200)} == {"a", "b:c", ""}
    assert fill("${int:5:5}") == "5"


def test_choices_come_about_as_often_as_each_other() -> None:
    seen = [fill("${int:0:9}", n) for n in range(2_000)]
    assert all(150 < seen.count(str(digit)) < 250 for digit in range(10))


def test_letters_come_about_as_often_as_each_other() -> None:
    text = fill("${text:36000}")
    assert len(set(text)) == 36
    assert all(800 < text.count(letter) < 1_200 for letter in set(text))


def test_the_same_seed_gives_the_same_text_and_each_number_another() -> None:
    texts = [fill("${uuid} ${text:9}", n) for n in range(50)]
    assert texts == [fill("${uuid} ${text:9}", n) for n in range(50)]
    assert len(set(texts)) == 50
    other = Scope("orders", key_of(8, "orders"))
    assert fill("${uuid}", scope=other) != fill("${uuid}")


def test_two_placeholders_have_two_chances() -> None:
    first, second = fill("${uuid} ${uuid}").split()
    assert first != second
    longer = Scope("orders", SCOPE.key, place=1)
    assert fill("${uuid}", scope=longer) == second


def test_two_dollars_stand_for_one() -> None:
    assert fill("$${seq} ${seq} $$") == "${seq} 1 $$"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${sec}", "the body holds ${sec}, which is not known: did you mean ${seq}?"),
        ("${customer}", "$${ stands for ${ itself"),
        ("${int}", "it takes two whole numbers, as in ${int:1:100}"),
        ("${int:9:1}", "the first is above the second"),
        ("${int:a:b}", "two whole numbers"),
        ("${float:0:inf}", "endless"),
        ("${choice}", "what to choose from"),
        ("${text:-1}", "a length"),
        ("${text:99999999}", "more than 1000000"),
        ("${seq:3}", "no arguments"),
        ("${now:h}", "nothing, s or ms"),
        ("${env:NOT_THERE}", "a variable that is set"),
    ],
)
def test_what_is_no_placeholder_is_refused_with_the_right_form(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        fill(text)
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["", "a", "${seq}", "$${seq}", "$$${x} ${", "${ {}}", "$", "${}"])
def test_what_is_escaped_is_itself(text: str) -> None:
    assert fill(escaped(text)) == text


def test_draws_of_neighbours_have_nothing_in_common() -> None:
    key = key_of(1, "a")
    draws = [draw(key, number, place) for number in range(100) for place in range(10)]
    assert len(set(draws)) == 1_000
    ones = [sum(each >> bit & 1 for each in draws) for bit in range(64)]
    assert all(400 < count < 600 for count in ones), "each bit is a coin"
