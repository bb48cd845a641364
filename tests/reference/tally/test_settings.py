from __future__ import annotations

from pathlib import Path

import pytest

from tally.settings import Settings, SettingsError

DATABASE = {"DATABASE_URL": "postgresql://localhost/tally"}


def settings(**environ: str) -> Settings:
    return Settings.from_environ({**DATABASE, **environ})


def test_a_database_is_all_that_must_be_named() -> None:
    assert settings() == Settings("postgresql://localhost/tally")


def test_upstreams_are_lists_of_pods() -> None:
    found = settings(BILLING_URL=" http://a:1/ ,, https://b ", AUTH_URL="http://auth")
    assert found.billing_urls == ("http://a:1", "https://b")
    assert found.auth_urls == ("http://auth",)
    assert found.flags_urls == ()


def test_what_is_set_is_used() -> None:
    found = settings(
        TALLY_STAGE="blocking",
        TALLY_SPOOL="spool",
        TALLY_POOL_SIZE="4",
        TALLY_STATEMENT_S="0.5",
        TALLY_UPLOAD_BYTES="1024",
        TALLY_NAMES="20",
        REDIS_URL="redis://localhost",
    )
    assert (found.stage, found.spool, found.pool_size) == ("blocking", Path("spool"), 4)
    assert (found.statement_s, found.limits.upload_bytes, found.limits.names) == (0.5, 1024, 20)
    assert found.redis_url == "redis://localhost"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "", "DATABASE_URL is not set: .* `tally serve`"),
        ("DATABASE_URL", "mysql://db", "must begin with postgresql://, not with mysql"),
        ("DATABASE_URL", "db:5432", "not with no scheme"),
        ("REDIS_URL", "http://redis", "REDIS_URL must begin with redis://"),
        ("TALLY_STAGE", "fast", "one of blocking, offloaded, async, not 'fast'"),
        ("AUTH_URL", "auth:80", "AUTH_URL must list http:// or https:// URLs, not 'auth:80'"),
        ("TALLY_POOL_SIZE", "1", "TALLY_POOL_SIZE must be a whole number, 2 or more, not '1'"),
        ("TALLY_POOL_SIZE", "²", "whole number"),
        ("TALLY_NAMES", "0", "TALLY_NAMES must be a whole number, 1 or more, not '0'"),
        ("TALLY_ACQUIRE_S", "nan", "TALLY_ACQUIRE_S must be a number, 0.05 or more, not 'nan'"),
        ("TALLY_DEADLINE_S", "soon", "not 'soon'"),
        ("TALLY_RETENTION_DAYS", "3", "still lets in: keep at least 7 days"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        settings(**{name: value})
    assert "\n" not in str(caught.value)


def test_passwords_are_not_shown() -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        with pytest.raises(SettingsError) as caught:
            settings(**{name: "odd://me:secret@db"})
        assert "secret" not in str(caught.value)
    assert "hush" not in repr(settings(TALLY_SIGNING_KEY="hush"))
