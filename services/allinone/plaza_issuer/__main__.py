"""`python -m plaza_issuer`: the development issuer, on loopback, until it is told to stop."""

from __future__ import annotations

import logging
import sys

import uvicorn
from plaza_kit.errors import PlazaError
from plaza_kit.settings import BadSettings, load

from .app import create_app
from .loopback import require_loopback
from .realm import load_realm
from .settings import IssuerSettings


def main() -> int:
    """Exit code 0 after an orderly stop, 2 when it cannot start."""
    try:
        settings = load(IssuerSettings)
        host = require_loopback(settings.issuer_host)
        app = create_app(settings, load_realm())
    except BadSettings as error:
        print(f"plaza_issuer: {error}", file=sys.stderr)
        return 2
    except PlazaError as error:
        print(f"plaza_issuer: {error.message}\n{error.remedy}", file=sys.stderr)
        return 2
    # At level DEBUG Authlib would write tokens into the log.
    logging.getLogger("authlib").setLevel(logging.INFO)
    uvicorn.run(app, host=host, port=settings.issuer_port, log_level="info", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
