"""What the tests of the pages share."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from plaza_testing.console import City, browser

# The tests of the portal share `portal_specimen.py`, which stands beside them.
sys.path.append(str(Path(__file__).parent))
from portal_specimen import Specimen, client


@pytest.fixture
def city() -> City:
    """Services that hold one dataset."""
    return City()


@pytest.fixture
async def http(city: City) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of somebody who is signed in."""
    async with browser(city) as client:
        yield client


@pytest.fixture
async def portal() -> AsyncIterator[httpx.AsyncClient]:
    """The portal of a small city."""
    async with client(Specimen()) as opened:
        yield opened


@pytest.fixture
async def hostile() -> AsyncIterator[httpx.AsyncClient]:
    """The same, with hostile metadata."""
    async with client(Specimen(hostile=True)) as opened:
        yield opened
