"""How S3 is reached: settings of every process that has to, and the client made of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_REQUEST_SECONDS: Final = 30.0
"""Of silence, before a request is tried again; the library's own 3 are few for a busy store."""
_CONNECT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class S3Access:
    """Where S3 answers, and the keys."""

    endpoint: str
    """`https://host[:port]`; empty: Amazon's, of the region."""
    region: str
    access_key: str
    """Empty, with the secret: what the environment gives (a role of the machine or of the pod)."""
    secret_key: str = field(repr=False)
    ca_file: str = ""
    """Certificates, PEM; empty: the system's."""

    def filesystem(self, *, allow_bucket_creation: bool = False) -> Any:
        """Arrow's client (`pyarrow.fs.S3FileSystem`); safe to share between threads."""
        return _filesystem(self, allow_bucket_creation)


@cache
def _filesystem(access: S3Access, allow_bucket_creation: bool) -> Any:
    # A process without S3 does not load it.
    from pyarrow.fs import S3FileSystem

    scheme, _, host = access.endpoint.rpartition("://")
    return S3FileSystem(
        access_key=access.access_key or None,
        secret_key=access.secret_key or None,
        region=access.region,
        scheme=scheme or "https",
        endpoint_override=host or None,
        request_timeout=_REQUEST_SECONDS,
        connect_timeout=_CONNECT_SECONDS,
        allow_bucket_creation=allow_bucket_creation,
        tls_ca_file_path=access.ca_file or None,
        # A stream says whether it was written when it is closed, and nothing is half done behind our back.
        background_writes=False,
    )


@dataclass(frozen=True, slots=True)
class S3Place:
    """S3 and the folder of this machine that files from there lie in while they are used."""

    access: S3Access
    cache_dir: Path
    cache_bytes: int


class S3Settings(BaseSettings):
    """Needed only where one of the folders is an `s3://` address."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    s3_endpoint: str = Field(
        default="", description="`https://host[:port]` of S3; empty: Amazon's, of the region"
    )
    s3_region: str = Field(default="us-east-1", description="region of S3")
    s3_access_key: str = Field(default="", description="key of S3; empty: what the environment gives")
    s3_secret_key: str = Field(default="", repr=False, description="its secret")
    s3_ca_file: str = Field(default="", description="certificates that S3's is checked with (PEM)")
    s3_cache_dir: Path | None = Field(
        default=None,
        description="folder of this machine for files from S3 while they are used; default: in the temporary folder",
    )
    s3_cache_bytes: int = Field(
        default=8 << 30,
        gt=0,
        description="so much of it is kept for the next use; what is in use comes on top",
    )

    def s3(self) -> S3Place:
        """For `plaza_kit.objects`."""
        access = S3Access(
            self.s3_endpoint, self.s3_region, self.s3_access_key, self.s3_secret_key, self.s3_ca_file
        )
        return S3Place(
            access, self.s3_cache_dir or Path(tempfile.gettempdir()) / "plaza-s3", self.s3_cache_bytes
        )
