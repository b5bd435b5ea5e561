"""The operator's settings come from `PLAZA_…` variables, whichever class declares them."""

from __future__ import annotations

import pytest
from plaza_kit.settings import BadSettings, load
from plaza_operator.settings import OperatorSettings


def test_every_missing_setting_is_named_as_it_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAZA_WORKER_IMAGE", "plaza/worker:1")
    with pytest.raises(BadSettings) as caught:
        load(OperatorSettings)
    missing = {line.split()[2] for line in str(caught.value).splitlines()[1:]}
    assert missing == {
        "PLAZA_ISSUER",
        "PLAZA_KEYCLOAK_URL",
        "PLAZA_CLIENT_SECRET",
        "PLAZA_INGESTION_ADDRESS",
        "PLAZA_EXCHANGE_DATABASE_URL",
        "PLAZA_BUCKETS",
    }
