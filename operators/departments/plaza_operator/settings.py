"""What the operator needs from the environment: names are `PLAZA_` and the field in capitals."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from plaza_kit.settings import BadSettings, IssuerSettings, TlsSettings
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from plaza_operator.domain.platform import Platform
from plaza_operator.owned.worker_certificate import Signer


class RealmSettings(BaseSettings):
    """What it takes to reach Keycloak and to keep the realm."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    keycloak_url: str = Field(
        description="Keycloak as the operator reaches it, for example `http://keycloak:8080`"
    )
    keycloak_admin_realm: str = Field(default="master", description="realm of the operator's own login")
    keycloak_client_id: str = Field(default="admin-cli", description="client of the operator's own login")
    keycloak_client_secret: str = Field(
        default="", repr=False, description="its secret; empty: log in by name"
    )
    keycloak_username: str = Field(default="", description="log-in name, where there is no client of its own")
    keycloak_password: str = Field(default="", repr=False, description="its password")
    keycloak_ca_file: str = Field(default="", description="authorities for Keycloak's certificate, PEM")
    keycloak_at_once: int = Field(default=4, ge=1, description="requests to Keycloak under way")
    realm: str = Field(default="plaza", description="the realm")
    console_urls: list[str] = Field(
        default=[], description='addresses of the internal gateway, JSON: `["https://plaza.city.example/*"]`'
    )
    realm_seconds: float = Field(default=300, gt=0, description="the realm is looked at again after so long")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")

    administrators_second_factor: bool = Field(
        default=True, description="city administrators log in with a one-time code too"
    )

    def check(self) -> None:
        """What no single field can say. Raises BadSettings."""
        if not self.keycloak_client_secret and not (self.keycloak_username and self.keycloak_password):
            raise BadSettings(
                "set PLAZA_KEYCLOAK_CLIENT_SECRET, or PLAZA_KEYCLOAK_USERNAME and PLAZA_KEYCLOAK_PASSWORD"
            )


class OperatorSettings(RealmSettings, TlsSettings, IssuerSettings):
    """All settings of the operator."""

    client_id: str = Field(
        default="plaza-supervisor", description="the operator's own client of Plaza's services"
    )
    client_secret: str = Field(repr=False, description="its secret")
    catalogue_address: str = Field(
        default="", description="gRPC address; empty: no directory entries are made"
    )
    ingestion_address: str = Field(description="gRPC address, for the operator and for every worker")
    ask_for_work: bool = Field(
        default=True, description="ask ingestion whether work waits; false: every worker runs always"
    )

    exchange_database_url: str = Field(
        repr=False, description="exchange database (前置库), as a role that may create roles and schemas"
    )
    exchange_host: str = Field(
        default="", description="its host as workers reach it; empty: as in the address"
    )
    exchange_port: int = Field(default=0, description="its port as workers reach it; 0: as in the address")

    buckets: Literal["versitygw", "static"] = Field(
        description="`versitygw`: buckets and keys are made; `static`: an administrator brings them"
    )
    bucket_template: str = Field(default="plaza-{department}", description="name of a department's bucket")
    s3_endpoint: str = Field(default="", description="S3 endpoint")
    s3_admin_endpoint: str = Field(default="", description="versitygw's admin endpoint; empty: the same")
    s3_region: str = Field(default="us-east-1", description="S3 region")
    s3_access_key: str = Field(default="", repr=False, description="versitygw's root access key")
    s3_secret_key: str = Field(default="", repr=False, description="versitygw's root secret key")
    s3_ca_file: str = Field(default="", description="authorities for the endpoint's certificate, PEM")

    worker_image: str = Field(description="image of the ingestion worker, with tag or digest")
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="of workers"
    )
    image_pull_secrets: list[str] = Field(
        default=[], description="names of pull secrets in tenant namespaces, JSON"
    )
    worker_egress: list[dict[str, Any]] = Field(
        default=[], description="NetworkPolicy egress rules to ingestion, the issuer and the storage, JSON"
    )
    worker_env: dict[str, str] = Field(default={}, description="further settings of every worker, JSON")
    workers_ca_cert_file: Path | None = Field(
        default=None, description="PEM certificate of the authority of workers; with PLAZA_TLS_CERT_FILE"
    )
    workers_ca_key_file: Path | None = Field(default=None, description="PEM key of that authority")
    worker_idle_seconds: int = Field(default=60, ge=5, description="a worker without work ends after so long")
    worker_poll_seconds: float = Field(
        default=5, gt=0, description="ingestion is asked for waiting work this often"
    )

    people_group: str = Field(
        default="plaza:dept-{department}", description="Kubernetes group of a department's people"
    )
    organization_domain: str = Field(
        default="plaza.example", description="domain of the organizations in Keycloak"
    )
    tenant_cluster_role: str = Field(
        default="", description="ClusterRole bound to the operator in each tenant namespace; empty: not bound"
    )
    service_account: str = Field(
        default="default/plaza-operator", description="the operator's own: `namespace/name`"
    )

    kubernetes_at_once: int = Field(default=8, ge=1, description="requests to Kubernetes under way")
    external_seconds: float = Field(
        default=30,
        gt=0,
        le=60,
        description="Keycloak, database, storage and catalogue are looked at again after so long",
    )
    deletion_limit_seconds: float = Field(
        default=600, gt=0, description="a deletion that cannot be finished ends after so long, with a warning"
    )
    metrics_port: int = Field(default=9090, ge=0, description="port for Prometheus; 0: not served")
    health_port: int = Field(default=8080, ge=0, description="port of `/healthz`; 0: not served")
    keep_realm: bool = Field(default=True, description="false: the realm is somebody else's to keep")
    die_on_demand: bool = Field(
        default=False,
        description="for tests alone: a Department's annotation `plaza.city/die-after-call` ends the operator there",
    )

    def check(self) -> None:
        """What no single field can say. Raises BadSettings."""
        super().check()
        if self.buckets == "versitygw" and not (
            self.s3_endpoint and self.s3_access_key and self.s3_secret_key
        ):
            raise BadSettings(
                "versitygw needs PLAZA_S3_ENDPOINT, PLAZA_S3_ACCESS_KEY and PLAZA_S3_SECRET_KEY"
            )
        if self.tls_ca_file and self.signer() is None:
            raise BadSettings(
                "services that are called by TLS want certificates of workers too: set "
                "PLAZA_WORKERS_CA_CERT_FILE and PLAZA_WORKERS_CA_KEY_FILE"
            )

    def signer(self) -> Signer | None:
        """Who makes workers' certificates; None where connections are plain."""
        if not (self.tls_ca_file and self.workers_ca_cert_file and self.workers_ca_key_file):
            return None
        return Signer(self.workers_ca_cert_file, self.workers_ca_key_file, self.tls_ca_file)

    def platform(self, database: tuple[str, int, str]) -> Platform:
        """`database`: host, port and name as in the operator's own address."""
        namespace, _, name = self.service_account.partition("/")
        host, port, dbname = database
        return Platform(
            worker_image=self.worker_image,
            image_pull_policy=self.image_pull_policy,
            image_pull_secrets=tuple(self.image_pull_secrets),
            ingestion_address=self.ingestion_address,
            issuer=self.issuer,
            worker_egress=tuple(self.worker_egress),
            people_group=self.people_group,
            tenant_cluster_role=self.tenant_cluster_role,
            operator_service_account=(namespace, name),
            bucket_template=self.bucket_template,
            s3_endpoint=self.s3_endpoint,
            s3_region=self.s3_region,
            database_host=self.exchange_host or host,
            database_port=self.exchange_port or port,
            database_name=dbname,
            organization_domain=self.organization_domain,
            worker_idle_seconds=self.worker_idle_seconds,
            worker_env=self.worker_env,
            worker_tls=self.signer() is not None,
        )
