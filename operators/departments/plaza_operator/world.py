"""Everything that reconciling talks to, put together once."""

from __future__ import annotations

from dataclasses import dataclass

from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers

from plaza_operator.domain.platform import Platform
from plaza_operator.external.buckets import Buckets, Static, Versitygw
from plaza_operator.external.keycloak import Keycloak
from plaza_operator.external.plaza import Plaza
from plaza_operator.external.postgres import Exchange
from plaza_operator.kube import Kube
from plaza_operator.owned.worker_certificate import Signer
from plaza_operator.settings import OperatorSettings, RealmSettings


@dataclass(frozen=True, slots=True)
class World:
    """Each system has its own limit of requests under way: one that hangs must not hold up the others."""

    settings: OperatorSettings
    platform: Platform
    kube: Kube
    keycloak: Keycloak
    exchange: Exchange
    buckets: Buckets
    plaza: Plaza
    signer: Signer | None = None
    """Of workers' certificates; None where connections are plain."""

    async def close(self) -> None:
        """Ends all connections."""
        await self.kube.close()
        await self.keycloak.close()
        await self.plaza.close()
        if isinstance(self.buckets, Versitygw):
            await self.buckets.close()


def keycloak(settings: RealmSettings) -> Keycloak:
    """Keycloak's admin API as the settings say."""
    return Keycloak(
        settings.keycloak_url,
        settings.realm,
        admin_realm=settings.keycloak_admin_realm,
        client_id=settings.keycloak_client_id,
        client_secret=settings.keycloak_client_secret,
        username=settings.keycloak_username,
        password=settings.keycloak_password,
        ca_file=settings.keycloak_ca_file,
        at_once=settings.keycloak_at_once,
    )


def build(settings: OperatorSettings) -> World:
    """Opens nothing yet; must be called inside the event loop."""
    exchange = Exchange(settings.exchange_database_url)
    peers = Peers(
        {"catalogue": settings.catalogue_address, "ingestion": settings.ingestion_address}, settings.tls()
    )
    tokens = ServiceTokens(
        settings.issuer, settings.client_id, settings.client_secret, connect_to=settings.issuer_connect
    )
    return World(
        settings=settings,
        platform=settings.platform(exchange.place),
        kube=Kube(at_once=settings.kubernetes_at_once),
        keycloak=keycloak(settings),
        exchange=exchange,
        buckets=_buckets(settings),
        plaza=Plaza(peers, tokens),
        signer=settings.signer(),
    )


def _buckets(settings: OperatorSettings) -> Buckets:
    if settings.buckets == "static":
        return Static()
    return Versitygw(
        settings.s3_endpoint,
        settings.s3_admin_endpoint,
        settings.s3_region,
        settings.s3_access_key,
        settings.s3_secret_key,
        settings.s3_ca_file,
    )
