"""What is known of other people's code, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from unstall.catalog.row import OPEN, Cost, Effect
from unstall.catalog.table import Table, default, installed, read, table_of
from unstall.errors import UsageError


def _table(*texts: Mapping[str, Any]) -> Table:
    return table_of(read(text, "here") for text in texts)


def _blocks(names: str, **more: object) -> dict[str, Any]:
    return {"blocks": [{"names": names, "code": "US100", "cost": "ms", **more}]}


def _effect(table: Table, name: str, via: str = "call") -> str | None:
    row = table.row_for(name, via)
    return None if row is None else str(row.effect)


# Names


def test_the_exact_name_wins_over_the_class_it_is_in() -> None:
    table = _table(_blocks("db.Client.*") | {"clean": [{"names": "db.Client.close"}]})
    assert _effect(table, "db.Client.query") == "blocks"
    assert _effect(table, "db.Client.close") == "clean"


def test_a_row_for_a_class_speaks_of_its_members_and_of_no_member_of_those() -> None:
    table = _table(_blocks("db.Client.*"))
    assert _effect(table, "db.Client.query") == "blocks"
    assert _effect(table, "db.Client.Error.format") is None
    assert _effect(table, "db.Client") is None


def test_a_row_for_a_module_speaks_of_all_below_it() -> None:
    table = _table(_blocks("db.*"))
    assert _effect(table, "db.connect") == "blocks"
    assert _effect(table, "db.sub.Client.query") == "blocks"
    assert _effect(table, "dbs.connect") is None


def test_a_row_for_a_module_does_not_speak_of_its_asynchronous_classes() -> None:
    table = _table(_blocks("db.*"))
    assert _effect(table, "db.Client.query") == "blocks"
    assert _effect(table, "db.AsyncClient.query") is None
    assert _effect(table, "db.sub._AsyncPool.get") is None


def test_a_row_for_a_class_does_not_speak_of_asynchronous_twins_among_its_members() -> None:
    table = _table(_blocks("db.Client.* web.Client.**"))
    assert _effect(table, "db.Client.list") == "blocks"
    assert _effect(table, "db.Client.list_async") is None
    assert _effect(table, "web.Client.files.list") == "blocks"
    assert _effect(table, "web.Client.files.list_async") is None


def test_what_an_unknown_call_gives_is_not_known() -> None:
    table = _table(_blocks("db.** web.Client.**"))
    assert _effect(table, "web.Client.files.list") == "blocks"
    assert _effect(table, "web.Client.files.list().strip") is None
    assert table.attribute("web.Client.files.list().data") == ()


def test_a_tree_follows_attributes_to_any_depth() -> None:
    table = _table(_blocks("web.Client.**"))
    assert table.attribute("web.Client.chat") == ("web.Client.chat",)
    assert table.attribute("web.Client.chat.completions") == ("web.Client.chat.completions",)
    assert _effect(table, "web.Client.chat.completions.create") == "blocks"
    assert table.attribute("web.Other.chat") == ()


def test_a_class_all_of_whose_members_are_clean_is_clean_to_make() -> None:
    table = _table({"clean": [{"names": "web.AsyncClient.** web.Pool.*"}]}, _blocks("db.Client.*"))
    assert _effect(table, "web.AsyncClient") == "clean"
    assert _effect(table, "web.Pool") == "clean"
    assert _effect(table, "db.Client") is None


def test_a_class_inherits_the_rows_of_its_bases() -> None:
    bases = {"bases": {"db.stores.*": "db.Store", "db.Store": "db.Base"}}
    table = _table(_blocks("db.Store.load db.Base.open"), bases)
    assert _effect(table, "db.stores.Postgres.load") == "blocks"
    assert _effect(table, "db.stores.Postgres.open") == "blocks"
    assert _effect(table, "db.stores.Postgres.name") is None


def test_a_base_says_more_than_the_module_around() -> None:
    table = _table(
        {"clean": [{"names": "app.*"}], "bases": {"app.Job": "db.Job"}}, _blocks("db.Job.run")
    )
    assert _effect(table, "app.Job.run") == "blocks"
    assert _effect(table, "app.Job.name") == "clean"


def test_a_base_may_be_that_of_classes_in_many_packages() -> None:
    bases = {"bases": {"stubs_*.*Client": "db.Client", "stubs_*.tables.*": "db.Table"}}
    table = _table(_blocks("db.Client.query db.Table.put"), bases)
    assert _effect(table, "stubs_one.OneClient.query") == "blocks"
    assert _effect(table, "stubs_two.client.TwoClient.query") == "blocks"
    assert _effect(table, "stubs_two.tables.Row.put") == "blocks"
    assert _effect(table, "stubs_two.client.ClientOptions.query") is None
    assert _effect(table, "stubs.OneClient.query") is None
    assert _effect(table, "other.stubs_one.OneClient.query") is None


def test_a_base_of_anything_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the name '\*\.Client'"):
        _table({"bases": {"*.Client": "db.Client"}})


def test_a_remedy_may_name_the_call() -> None:
    table = _table(_blocks("db.Client.get db.Client.put", instead="await {name}(…)"))
    said = {row.name: row.instead for row in table.rows.values()}
    assert said == {"db.Client.get": "await get(…)", "db.Client.put": "await put(…)"}


def test_bases_that_go_in_a_circle_do_no_harm() -> None:
    table = _table(_blocks("db.A.load"), {"bases": {"db.A": "db.B", "db.B": "db.A"}})
    assert _effect(table, "db.B.load") == "blocks"
    assert _effect(table, "db.B.name") is None


def test_each_way_of_control_has_rows_of_its_own() -> None:
    table = _table(_blocks("os.walk", via="iterate"))
    assert _effect(table, "os.walk", "iterate") == "blocks"
    assert _effect(table, "os.walk", "enter") is None


def test_making_something_lazy_is_clean() -> None:
    table = _table(_blocks("os.walk db.Query", via="iterate"), _blocks("db.Client.*"))
    assert _effect(table, "os.walk") == "clean"
    assert _effect(table, "db.Query") is None


def test_of_a_class_that_blocks_a_lazy_method_blocks_too() -> None:
    table = _table(_blocks("db.Client.*"), _blocks("db.Client.stream", via="iterate"))
    assert _effect(table, "db.Client.stream") == "blocks"


def test_the_later_facts_win() -> None:
    table = _table(_blocks("db.query"), {"clean": [{"names": "db.query"}]})
    assert _effect(table, "db.query") == "clean"


# Types


def test_a_class_gives_itself_and_an_unknown_function_nothing() -> None:
    table = _table({})
    assert table.returns("db.Client") == ("db.Client",)
    assert table.returns("db.connect") == ()


def test_a_lazy_function_is_the_class_of_what_it_gives() -> None:
    table = _table(_blocks("os.walk", via="iterate"))
    assert table.returns("os.walk") == ("os.walk",)


def test_a_fluent_class_gives_itself_unless_more_is_known() -> None:
    types = [
        {"of": "db.Query", "names": "*", "returns": "Self"},
        {"of": "db.Query", "names": "all", "returns": ""},
    ]
    table = _table({"types": types})
    assert table.returns("db.Query.where") == ("db.Query",)
    assert table.returns("db.Query.all") == ()


def test_bases_hold_for_a_class_and_for_all_classes_of_a_module() -> None:
    table = _table({"bases": {"db.Child": "db.Parent", "db.stores.*": "db.Store"}})
    assert table.bases("db.Child") == ("db.Parent",)
    assert table.bases("db.stores.sql.Postgres") == ("db.Store",)
    assert table.bases("db.Parent") == ()


def test_private_and_public_names_are_one() -> None:
    table = _table(
        _blocks("db.Client.query"),
        {"canonical": {"db._impl.client": "db.client", "db.client.Client": "db.Client"}},
    )
    assert table.canonical("db._impl.client.Client.query") == "db.Client.query"
    assert _effect(table, "db._impl.client.Client.query") == "blocks"
    assert table.canonical("db._impl.clients.Client") == "db._impl.clients.Client"


# Conditions


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        ({}, True),
        ({"timeout": "5"}, True),
        ({"timeout": None}, True),
        ({"block": "False"}, False),
        ({"0": "False"}, False),
        ({"0": "True"}, True),
        ({"quick": None}, False),
    ],
)
def test_one_argument_may_make_a_call_clean(given: dict[str, str | None], holds: bool) -> None:
    row = _table(_blocks("q.get", unless="block=False 0=False quick=*")).row_for("q.get")
    assert row is not None
    assert row.holds(given) is holds


@pytest.mark.parametrize(
    ("given", "cost"),
    [
        ({"0": "frame"}, Cost.MS),
        ({"0": None}, Cost.MS),
        ({"frame": "None"}, Cost.US),
        ({"0": "None"}, Cost.US),
        ({}, Cost.US),
        ({OPEN: None}, Cost.MS),
    ],
)
def test_a_form_of_a_call_has_its_own_price(given: dict[str, str | None], cost: Cost) -> None:
    forms = [{"when": "0|frame=None|-", "cost": "us", "note": "flushes"}]
    row = _table(_blocks("codec.encode", cost="ms", forms=forms)).row_for("codec.encode")
    assert row is not None
    priced = row.priced(row.form(given))
    assert priced.cost is cost
    assert priced.note == ("flushes" if cost is Cost.US else "")


@pytest.mark.parametrize(
    ("classes", "mode", "cost"),
    [
        ({"io.BytesIO"}, "'r'", Cost.US),
        ({"io.BytesIO"}, "'x'", Cost.MS),
        ({"io.BytesIO", "io.FileIO"}, "'r'", Cost.MS),
        (set(), "'r'", Cost.MS),
    ],
)
def test_a_form_may_ask_what_surely_is_passed(classes: set[str], mode: str, cost: Cost) -> None:
    forms = [{"when": "0|file:io.BytesIO mode='r'|'w'", "cost": "us"}]
    row = _table(_blocks("zip.open", cost="ms", forms=forms)).row_for("zip.open")
    assert row is not None
    form = row.form({"0": None, "mode": mode}, {"0": classes}.__getitem__)
    assert row.priced(form).cost is cost


@pytest.mark.parametrize(
    ("count", "cost"),
    [
        ("99", Cost.US),
        ("0", Cost.US),
        ("100", Cost.MS),
        ("'99'", Cost.MS),
        ("9.5", Cost.MS),
        ("-1", Cost.MS),
        ("COUNT", Cost.MS),
        (None, Cost.MS),
    ],
)
def test_a_form_may_ask_for_a_number_below_another(count: str | None, cost: Cost) -> None:
    forms = [{"when": "1|count<100", "cost": "us"}]
    row = _table(_blocks("codec.stretch", cost="ms", forms=forms)).row_for("codec.stretch")
    assert row is not None
    assert row.priced(row.form({"0": None, "1": count})).cost is cost
    assert row.priced(row.form({"count": count})).cost is cost
    assert row.priced(row.form({"0": None})).cost is Cost.MS


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"cost": "us"}, "give `when`, conditions on arguments, and `cost`"),
        ({"when": "mode=1"}, "give `when`, conditions on arguments, and `cost`"),
        ({"when": "mode", "cost": "us"}, "give an argument and its literal, class or bound"),
        ({"when": "mode=1", "cost": "cheap"}, "give one of us, ms, unbounded"),
        ({"when": "mode=1", "cost": "us", "code": "US101"}, "the key 'code'"),
        ({"when": "mode=1", "cost": "us", "defers": "yes"}, "'yes' for defers: give true or false"),
        ({"when": "mode=1", "cost": "us", "single": "no"}, "'no' for single: give true or false"),
        ({"when": "count<many", "cost": "us"}, "give an argument and its literal, class or bound"),
    ],
)
def test_a_form_that_cannot_be_meant_is_refused(form: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as told:
        _table(_blocks("zip.open", forms=[form]))
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("flags", "holds"),
    [
        ("fcntl.LOCK_NB", False),
        ("fcntl.LOCK_EX | fcntl.LOCK_NB", False),
        ("fcntl.LOCK_EX", True),
        ("'fcntl.LOCK_EX, fcntl.LOCK_NB'", True),
        (None, True),
    ],
)
def test_of_several_flags_one_is_enough(flags: str | None, holds: bool) -> None:
    row = _table(_blocks("fcntl.flock", unless="1=fcntl.LOCK_NB")).row_for("fcntl.flock")
    assert row is not None
    assert row.holds({"0": "file", "1": flags}) is holds


def test_one_argument_may_be_what_makes_a_call_block() -> None:
    row = _table(_blocks("ldap.Connection", only_if="auto_bind=*")).row_for("ldap.Connection")
    assert row is not None
    assert row.holds({"auto_bind": None})
    assert not row.holds({"server": None})


# What users add


def test_a_project_adds_rows_with_the_words_of_the_catalog() -> None:
    group = {
        "of": "acme.Ledger",
        "names": "post read",
        "code": "US103",
        "cost": "unbounded",
        "instead": "acme.AsyncLedger",
        "time_out": {"parameter": "timeout", "default": "none"},
    }
    table = installed({"blocks": [group], "returns": {"acme.open": "acme.Ledger"}})
    row = table.row_for("acme.Ledger.post")
    assert row is not None
    assert (row.effect, row.code, row.cost) == (Effect.BLOCKS, "US103", Cost.UNBOUNDED)
    assert row.time_out is not None
    assert row.time_out.parameter == "timeout"
    assert table.returns("acme.open") == ("acme.Ledger",)
    assert _effect(table, "requests.get") == "blocks"
    assert default().row_for("acme.Ledger.post") is None


def test_a_project_overrules_what_unstall_brings() -> None:
    table = installed({"clean": [{"names": "requests.get"}]})
    assert _effect(table, "requests.get") == "clean"
    assert _effect(default(), "requests.get") == "blocks"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"blocking": []}, "has the key 'blocking'"),
        ({"blocks": "requests.get"}, "give tables, each under"),
        ({"blocks": [{"code": "US100"}]}, "a group without names"),
        ({"blocks": [{"names": "acme.get"}]}, "gives acme.get the code ''"),
        ({"blocks": [{"names": "acme get()", "code": "US100"}]}, "has the name 'get()'"),
        (_blocks("acme.get", cost="slow"), "has 'slow' for cost: give one of us, ms, unbounded"),
        (_blocks("acme.get", via="await"), "has 'await' for via"),
        (_blocks("acme.get", unless="block"), "has 'block' for unless"),
        (_blocks("acme.get", color="red"), "has the key 'color'"),
        (_blocks("acme.get", time_out="5 s"), "has '5 s' for time_out"),
        (_blocks("acme.get", argument=True), "has True for argument"),
        (_blocks("acme.get", instead=3), "has 3 for instead: give a text"),
        ({"offloads": [{"names": "acme.run"}]}, "gives acme.run no place"),
        ({"offloads": [{"names": "acme.run", "place": "moon"}]}, "has 'moon' for place"),
        ({"returns": {"acme.open": 3}}, "has 3 for acme.open: give names"),
        ({"returns": ["acme.open"]}, "give a table of names"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(data: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as told:
        installed(data)
    assert says in str(told.value)
    assert "[tool.unstall.catalog]" in str(told.value)
    assert "\n" not in str(told.value)
