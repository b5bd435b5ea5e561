"""Each process is told what it needs, and not what another one may do."""

from __future__ import annotations

from pathlib import Path

import pytest
from plaza_cli import environments
from plaza_cli.environments import Suite
from plaza_cli.home import SERVICES, Home
from plaza_cli.up import PortTaken, make_children, require_free
from plaza_cli.workers import worker_of
from plaza_kit.settings import ServiceSettings

OUTSIDE = {
    "PATH": "/bin",
    "LANG": "zh_CN.UTF-8",
    "PYTHONPATH": "/src",
    "PLAZA_LOG_LEVEL": "DEBUG",
    "PLAZA_STRAY": "1",
    "AWS_SECRET_ACCESS_KEY": "of the city",
    "PGPASSWORD": "of the city",
}


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    home = Home(tmp_path / "home")
    return Suite(home, tmp_path / "sockets", 18080, 18081, home.prepare(), outside=OUTSIDE)


def environment(suite: Suite, name: str) -> dict[str, str]:
    [which] = [one for one in SERVICES if one.name == name]
    return environments.service(suite, which, f"postgresql://{name}")


def test_the_table_of_services() -> None:
    names = ["security", "catalogue", "ingestion", "quality", "sharing", "open-data"]
    assert [one.name for one in SERVICES] == names
    open_data = SERVICES[-1]
    assert (open_data.schema, open_data.module) == ("open_data", "plaza_opendata")
    assert open_data.client == "plaza-open-data"
    assert open_data.address_variable == "PLAZA_OPEN_DATA_ADDRESS"
    assert open_data.password_variable == "PLAZA_DATABASE_PASSWORD_OPEN_DATA"


@pytest.mark.parametrize("name", [one.name for one in SERVICES])
def test_every_service_gets_what_all_services_need(
    suite: Suite, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environment(suite, name)
    for variable in ("PLAZA_LISTEN", "PLAZA_ISSUER"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings = ServiceSettings()  # type: ignore[call-arg]
    assert settings.client_id == f"plaza-{name}"
    assert settings.listen == given[f"PLAZA_{name.upper().replace('-', '_')}_ADDRESS"]
    assert settings.database_url == f"postgresql://{name}"
    assert settings.log_level == "DEBUG"
    assert "PLAZA_STRAY" not in given


def test_folders_of_the_lake_the_uploads_and_the_releases(suite: Suite) -> None:
    home = suite.home
    for name in ("ingestion", "quality", "sharing", "open-data"):
        assert environment(suite, name)["PLAZA_LAKE_WAREHOUSE"] == str(home.lake)
    for name in ("security", "catalogue"):
        assert "PLAZA_LAKE_WAREHOUSE" not in environment(suite, name)
    assert environment(suite, "ingestion")["PLAZA_STAGING"] == str(home.staging)
    assert environment(suite, "open-data")["PLAZA_RELEASE_STORE"] == str(home.releases)
    for folder in (home.lake, home.staging, home.releases):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_keys_and_secrets_reach_their_owner_alone(suite: Suite) -> None:
    holders = [one.name for one in SERVICES if "PLAZA_SIGNING_KEY_FILE" in environment(suite, one.name)]
    assert holders == ["security"]
    for name in ("sharing", "open-data"):
        given = environment(suite, name)
        assert set(suite.secrets.values()) & set(given.values()) == {given["PLAZA_CLIENT_SECRET"]}
    gateway = environments.gateway(suite)
    assert not set(suite.secrets.values()) & set(gateway.values())
    assert {one.address_variable for one in SERVICES} <= set(gateway)
    assert gateway["PLAZA_PORT"] == "18080"


def test_a_worker_holds_no_city_credentials(suite: Suite) -> None:
    child = worker_of(suite, "ecology")
    assert child is not None
    assert (child.name, child.module) == ("worker ecology", "plaza_ingestion.worker")
    assert dict(child.environment) == {
        "PATH": "/bin",
        "LANG": "zh_CN.UTF-8",
        "PYTHONPATH": "/src",
        "PLAZA_LOG_LEVEL": "DEBUG",
        "PLAZA_INGESTION_ADDRESS": suite.address("ingestion"),
        "PLAZA_ISSUER": "http://127.0.0.1:18081/realms/plaza",
        "PLAZA_CLIENT_ID": "ecology-worker",
        "PLAZA_CLIENT_SECRET": suite.secrets["PLAZA_SECRET_ECOLOGY_WORKER"],
        "PLAZA_DEPARTMENT": "ecology",
        "PLAZA_STAGING_PREFIX": str(suite.home.staging / "departments/ecology"),
        "PLAZA_SECRETS_DIR": str(suite.home.root / "departments/ecology/secrets"),
        "PLAZA_IDLE_SECONDS": "60",
    }


def test_no_worker_without_a_client_in_the_realm(suite: Suite) -> None:
    assert worker_of(suite, "water") is None


def test_a_test_may_put_modules_and_variables_in(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    modules = {"ingestion": "faulty_ingestion", "worker": "faulty_worker"}
    suite = Suite(
        home, tmp_path, 1, 2, home.prepare(), modules, {"PLAZA_FAULTS": "/faults"}, {"PATH": "/bin"}
    )
    urls = {one.name: "postgresql://" for one in SERVICES}
    children = make_children(suite, urls)
    worker = worker_of(suite, "ecology")
    assert worker is not None
    started = {child.name: child.module for child in (*children, worker)}
    assert started == {
        "issuer": "plaza_issuer",
        "security": "plaza_security",
        "catalogue": "plaza_catalogue",
        "ingestion": "faulty_ingestion",
        "quality": "plaza_quality",
        "sharing": "plaza_sharing",
        "open-data": "plaza_opendata",
        "gateway": "plaza_gateway",
        "worker ecology": "faulty_worker",
    }
    assert all(child.environment["PLAZA_FAULTS"] == "/faults" for child in (*children, worker))


@pytest.mark.integration
def test_a_port_that_is_taken_is_named_with_its_variable() -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} .*\n.* PLAZA_ISSUER_PORT"):
            require_free(port, "PLAZA_ISSUER_PORT")
    require_free(port, "PLAZA_ISSUER_PORT")
