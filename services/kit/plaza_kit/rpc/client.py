"""Calling other services: channels with retries and keepalive, and the metadata that a call carries."""

from __future__ import annotations

import json
from collections.abc import Mapping

import grpc

from plaza_kit import telemetry
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc import context
from plaza_kit.rpc.renewed_channel import RenewedChannel
from plaza_kit.rpc.tls import CurrentIdentity

Metadata = tuple[tuple[str, str], ...]

_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            # Only what cannot have been done: UNAVAILABLE. Everything else is the caller's to repeat.
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A pod that came in another's place is found by its name again (gRPC asks every 30 s at most otherwise).
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)
_UNIX_OPTIONS = (
    # Unix sockets have no authority of their own; HTTP/2 wants one. Elsewhere it is the name that TLS compares.
    ("grpc.default_authority", "plaza"),
)


class Peers:
    """Channels to other services, one each, opened when first used."""

    def __init__(self, addresses: Mapping[str, str], tls: CurrentIdentity | None = None) -> None:
        """`addresses`: gRPC address by service name, for example `{"security": "unix:/run/security.sock"}`; `tls`: how
        to be known to those that are no Unix sockets."""
        self._addresses = dict(addresses)
        self._tls = tls
        self._channels: dict[str, grpc.aio.Channel] = {}

    def channel(self, service: str) -> grpc.aio.Channel:
        """The channel to a service. Raises KeyError for a name that was not given an address."""
        if service not in self._channels:
            self._channels[service] = self._opened(self._addresses[service])
        return self._channels[service]

    def _opened(self, address: str) -> grpc.aio.Channel:
        if address.startswith("unix:"):
            return grpc.aio.insecure_channel(address, options=[*CHANNEL_OPTIONS, *_UNIX_OPTIONS])
        if self._tls is None:
            return grpc.aio.insecure_channel(address, options=list(CHANNEL_OPTIONS))
        return RenewedChannel(address, self._tls, CHANNEL_OPTIONS)

    async def close(self) -> None:
        """Close all channels, waiting up to a second for calls under way."""
        for channel in self._channels.values():
            await channel.close(grace=1)
        self._channels.clear()


def on_behalf() -> Metadata:
    """Metadata of a call made for the current caller: their token goes on, so that the peer decides about them."""
    return _metadata(context.caller().token)


async def as_service(tokens: ServiceTokens) -> Metadata:
    """Metadata of a call that a service makes in its own name."""
    return _metadata(await tokens.token())


def _metadata(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"), *telemetry.inject().items())
