"""Settings: every missing value at once, with all its names."""

from __future__ import annotations

import pytest
from plaza_kit.settings import BadSettings, ServiceSettings, load
from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings


class Aliased(BaseSettings):
    url: str = Field(
        validation_alias=AliasChoices("PLAZA_THING_URL", "THING_URL"), description="where the thing is"
    )
    size: int = Field(default=1, validation_alias=AliasChoices("PLAZA_THING_SIZE"))


def test_all_missing_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLAZA_LISTEN", raising=False)
    monkeypatch.setenv("PLAZA_ISSUER", "http://127.0.0.1/realms/plaza")
    with pytest.raises(BadSettings) as caught:
        load(ServiceSettings)
    text = str(caught.value)
    for name in ("PLAZA_LISTEN", "PLAZA_DATABASE_URL", "PLAZA_CLIENT_SECRET", "PLAZA_TRUST_FILE"):
        assert name in text
    assert "PLAZA_ISSUER " not in text


def test_every_name_of_an_aliased_value_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match=r"PLAZA_THING_URL or THING_URL \(where the thing is\)"):
        load(Aliased)
    monkeypatch.setenv("THING_URL", "x")
    assert load(Aliased).url == "x"
    monkeypatch.setenv("PLAZA_THING_SIZE", "many")
    with pytest.raises(BadSettings, match="PLAZA_THING_SIZE"):
        load(Aliased)


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "listen",
        "database_url",
        "issuer",
        "client_id",
        "client_secret",
        "trust_file",
        "security_address",
    )
    for name in names:
        monkeypatch.setenv(f"PLAZA_{name.upper()}", f"value-of-{name}")
    assert "value-of-client_secret" not in repr(load(ServiceSettings))
