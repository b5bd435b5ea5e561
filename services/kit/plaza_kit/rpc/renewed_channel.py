"""A channel that shows a renewed certificate without being made anew by those who hold it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from plaza_kit.rpc.tls import CurrentIdentity, Identity, channel_credentials

_OLD_SECONDS: Final = 300
"""Calls that began with the certificate before may take so long to end; then the server closes them anyhow."""

Options = Sequence[tuple[str, Any]]


class RenewedChannel(grpc.aio.Channel):
    """Stands for the channel that was opened with the newest certificate; stubs keep it as they keep any other."""

    def __init__(self, address: str, identity: CurrentIdentity, options: Options) -> None:
        """Opens nothing before the first call."""
        self._address = address
        self._identity = identity
        self._options = list(options)
        self._shown: Identity | None = None
        self._channel: grpc.aio.Channel | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def current(self) -> grpc.aio.Channel:
        """The channel to make the next call with."""
        identity = self._identity.now()
        if self._channel is None or identity != self._shown:
            if self._channel is not None:
                ending = asyncio.ensure_future(self._channel.close(grace=_OLD_SECONDS))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)
            self._channel = grpc.aio.secure_channel(
                self._address, channel_credentials(identity), options=self._options
            )
            self._shown = identity
        return self._channel

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As the channel's own."""
        return self._calls(lambda channel: channel.unary_unary(*args, **kwargs))

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As the channel's own."""
        return self._calls(lambda channel: channel.unary_stream(*args, **kwargs))

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As the channel's own."""
        return self._calls(lambda channel: channel.stream_unary(*args, **kwargs))

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As the channel's own."""
        return self._calls(lambda channel: channel.stream_stream(*args, **kwargs))

    def _calls(self, method: Callable[[grpc.aio.Channel], Any]) -> Callable[..., Any]:
        made_for: grpc.aio.Channel | None = None
        made: Any = None

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal made_for, made
            channel = self.current()
            if channel is not made_for:
                made_for, made = channel, method(channel)
            return made(*args, **kwargs)

        return call

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel, and what is left of those before it."""
        for ending in tuple(self._ending):
            ending.cancel()
        if self._channel is not None:
            await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Of the current channel."""
        return self.current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Of the current channel."""
        await self.current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Of the current channel."""
        await self.current().channel_ready()

    async def __aenter__(self) -> RenewedChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
