"""The HTTP server of the process, and how it ends: told first, then emptied, then closed."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from fastapi import FastAPI

from plaza_gateway.settings import GatewaySettings
from plaza_gateway.wire import bounded_http


class Server(uvicorn.Server):
    """After SIGTERM or SIGINT `/readyz` answers 503. For `notice` seconds requests are still taken, for those in
    front hear of it late; each answer is the last of its connection. Then no connection is accepted any more, and
    what is under way has the configuration's `timeout_graceful_shutdown` seconds to end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, notice_seconds: float) -> None:
        super().__init__(config)
        self._application = app
        self._notice_seconds = notice_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See above."""
        self._application.state.draining = True
        loop = asyncio.get_running_loop()
        until = loop.time() + self._notice_seconds
        # In short steps: a second Ctrl-C is heard.
        while not self.force_exit and (left := until - loop.time()) > 0:  # noqa: ASYNC110  # set by a signal
            await asyncio.sleep(min(left, 0.1))
        await super().shutdown(sockets)


def server_of(settings: GatewaySettings, app: FastAPI) -> Server:
    """The server of an application."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        http=bounded_http(settings.head_limit_bytes, settings.head_seconds),
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        # Whole seconds are all that uvicorn knows.
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
    return Server(config, app, settings.drain_notice_seconds)
