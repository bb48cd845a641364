"""Ids that answers gave, for whoever asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from unstall.prove.derive.document import Link, Operation
from unstall.prove.derive.known import Known

CREATE, ALL, ONE = (
    Operation("POST", "/users"), Operation("GET", "/users/"), Operation("GET", "/users/{user_id}"),
)  # fmt: skip
NEST = Operation("POST", "/users/{user_id}/posts")
DEEP = Operation("GET", "/users/{uid}/posts/{post_id}")


def known() -> Known:
    return Known([CREATE, ALL, ONE, NEST, DEEP])


@pytest.mark.parametrize(
    "answer",
    [{"id": 4}, {"user_id": 4}, {"userId": 4}, {"data": {"id": 4}}, {"id": 4, "team": {"id": 9}}],
)
def test_what_a_creator_answers_can_be_asked_for(answer: Any) -> None:
    ids = known()
    ids.learn(CREATE, answer)
    assert ids.in_path(ONE, turn=0) == {"user_id": 4}


@pytest.mark.parametrize(
    "answer", ["no", None, [], {}, {"id": None}, {"id": True}, {"a": {}, "b": {}}]
)
def test_an_answer_without_an_id_tells_nothing(answer: Any) -> None:
    ids = known()
    ids.learn(CREATE, answer)
    assert len(ids) == 0
    assert ids.in_path(ONE, turn=0) == {}


@pytest.mark.parametrize(
    "answer", [[{"id": 1}, {"id": 2}], {"items": [{"id": 1}, {"id": 2}], "n": 2}]
)
def test_a_list_tells_several_and_each_turn_takes_the_next(answer: Any) -> None:
    ids = known()
    ids.learn(ALL, answer)
    assert [ids.in_path(ONE, turn)["user_id"] for turn in range(3)] == [1, 2, 1]


def test_items_of_a_nested_collection_are_asked_for_below_the_parent_they_were_put_into() -> None:
    ids = known()
    ids.learn(ALL, [{"id": 1}, {"id": 2}])
    assert ids.in_path(DEEP, turn=1) == {"uid": 1}, "its own id is not known yet"
    assert [ids.in_path(NEST, turn)["user_id"] for turn in range(3)] == [1, 1, 1]
    ids.learn(NEST, {"id": 70})
    assert ids.in_path(DEEP, turn=1) == {"uid": 1, "post_id": 70}


def test_a_link_of_the_contract_is_followed() -> None:
    create = Operation("POST", "/orders", links=(Link("receipt", "number", "/paid/0/no"),))
    receipt = Operation("GET", "/receipts/{number}", "receipt")
    ids = Known([create, receipt])
    ids.learn(create, {"paid": [{"no": "R-1"}]})
    assert ids.in_path(receipt, turn=0) == {"number": "R-1"}


def test_a_property_that_names_a_collection_takes_one_of_its_ids() -> None:
    ids = known()
    ids.learn(CREATE, {"id": 4})
    assert (ids.named("user_id"), ids.named("userId"), ids.named("users_id")) == (4, 4, 4)
    assert [ids.named(name) for name in ("id", "uuid", "order_id", "paid", "user")] == [None] * 5
