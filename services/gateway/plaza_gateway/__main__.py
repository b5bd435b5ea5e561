"""`python -m plaza_gateway`: the gateway on `PLAZA_HOST`:`PLAZA_PORT`."""

from __future__ import annotations

import sys

import uvicorn
from plaza_kit import telemetry
from plaza_kit.settings import BadSettings, load

from plaza_gateway.app import create_app, peers_of
from plaza_gateway.settings import GatewaySettings


def main() -> None:
    """Serve until SIGTERM, then let requests under way end for at most ten seconds."""
    try:
        settings = load(GatewaySettings)
    except BadSettings as error:
        sys.exit(f"plaza-gateway: {error}")
    telemetry.configure("gateway", log_level=settings.log_level, otlp_endpoint=settings.otlp_endpoint)
    app = create_app(settings, peers_of(settings))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
