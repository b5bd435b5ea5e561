"""`python -m plaza_gateway`: the gateway on `PLAZA_HOST`:`PLAZA_PORT`."""

from __future__ import annotations

import contextlib
import sys

from plaza_kit import telemetry
from plaza_kit.settings import BadSettings, load

from plaza_gateway.app import create_app, peers_of
from plaza_gateway.serving import server_of
from plaza_gateway.settings import GatewaySettings


def main() -> None:
    """Serve until SIGTERM, then as `serving.Server` says."""
    try:
        settings = load(GatewaySettings)
    except BadSettings as error:
        sys.exit(f"plaza-gateway: {error}")
    telemetry.configure(
        "gateway",
        log_level=settings.log_level,
        otlp_endpoint=settings.otlp_endpoint,
        metrics=settings.metrics_address,
    )
    server = server_of(settings, create_app(settings, peers_of(settings)))
    # Ctrl-C was heard: the server raises it once more when it has ended.
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    main()
