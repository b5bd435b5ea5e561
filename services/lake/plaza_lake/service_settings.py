"""The lake's part of a service's settings."""

from __future__ import annotations

from plaza_kit.objects.settings import S3Settings
from plaza_kit.settings import ServiceSettings
from pydantic import Field
from sqlalchemy.engine import make_url

from plaza_lake.tables import LakeSettings


class LakeServiceSettings(ServiceSettings, S3Settings):
    """What every service needs, and where the lake is."""

    lake_warehouse: str = Field(description="folder or `s3://bucket[/prefix]` under which all tables lie")
    lake_catalog_url: str = Field(
        default="",
        repr=False,
        description="PostgreSQL with the schema `lake`; empty: the service's own server",
    )
    lake_memory_limit: str = Field(default="1GB", description="of one query; beyond it the engine spills")
    lake_threads: int = Field(default=2, ge=1, description="of one query; also pages of rows made at a time")
    lake_column_memory: int = Field(
        default=192,
        ge=0,
        description="MiB of decoded columns kept for pages of rows; loading takes a quarter more",
    )

    def lake(self, *, writes: bool = False) -> LakeSettings:
        """For `plaza_lake.tables.Lake`; only a service that writes makes the catalog's tables."""
        url = make_url(self.lake_catalog_url or self.database_url).set(drivername="postgresql+psycopg2")
        return LakeSettings(
            catalog_url=url.render_as_string(hide_password=False),
            warehouse=self.lake_warehouse,
            create_catalog=writes,
            memory_limit=self.lake_memory_limit,
            threads=self.lake_threads,
            s3=self.s3(),
            column_memory=self.lake_column_memory << 20,
        )
