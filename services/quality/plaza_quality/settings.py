"""Settings of the quality service."""

from __future__ import annotations

from importlib.util import find_spec

from plaza_kit.errors import FailedPrecondition
from plaza_lake.service_settings import LakeServiceSettings
from pydantic import Field

from plaza_quality.spark.server import Spark


class SparkClientMissing(FailedPrecondition):
    """The package that speaks with Spark Connect servers is an extra of this one."""


class QualitySettings(LakeServiceSettings):
    """What every service needs, the lake, and where the contracts are."""

    catalogue_address: str = Field(description="gRPC address of the catalogue")
    ingestion_address: str = Field(
        description="gRPC address of ingestion, which answers senders with what was found"
    )
    time_zone: str = Field(
        default="Asia/Shanghai", description="IANA time zone in which the city's days begin"
    )
    profile_rows: int = Field(
        default=1_000_000,
        ge=0,
        description="Versions of at most so many rows are profiled without being asked; 0: none",
    )
    spark_connect: str = Field(
        default="",
        repr=False,
        description="Spark Connect server that judges large tables, `sc://host:port[/;use_ssl=true;token=…]`;"
        " empty: none",
    )
    spark_from_rows: int = Field(
        default=20_000_000, ge=0, description="versions with so many rows go there; 0: all"
    )
    spark_partitions: int = Field(
        default=8, ge=1, description="parts of a scan at a time, about as many as Spark's workers have cores"
    )

    def spark(self) -> Spark | None:
        """The server, if there is one. Raises `SparkClientMissing`."""
        if not self.spark_connect:
            return None
        if find_spec("pyspark") is None:
            raise SparkClientMissing(
                "PLAZA_SPARK_CONNECT is set, and the client is not installed",
                remedy="Install plaza-quality[spark]; docs/spark.md.",
            )
        return Spark(self.spark_connect, self.spark_from_rows, self.spark_partitions)
