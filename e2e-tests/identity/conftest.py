"""The two identity servers, each for all tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import identity_servers
import pytest
from identity_servers import City, Development, Server


@pytest.fixture(scope="session", params=["issuer", "keycloak"])
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    if request.param == "issuer":
        async with Development.running(tmp_path_factory.mktemp("issuer")) as issuer:
            yield issuer
    else:
        async with identity_servers.keycloak() as city:
            yield city


@pytest.fixture
def city(server: Server) -> City:
    """What only Keycloak has: for tests with `ON_KEYCLOAK`."""
    assert isinstance(server, City)
    return server
