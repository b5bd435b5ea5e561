"""Settings of the catalogue."""

from __future__ import annotations

from plaza_kit.settings import ServiceSettings
from pydantic import Field


class CatalogueSettings(ServiceSettings):
    """What every service needs, and the city's clock."""

    time_zone: str = Field(
        default="Asia/Shanghai", description="IANA time zone in which publication dates are meant"
    )
