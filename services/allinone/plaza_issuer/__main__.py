"""`python -m plaza_issuer`: the development issuer, on loopback, until it is told to stop.

`python -m plaza_issuer close NAME` (log-in name or client id; `open NAME`) while it runs: what an administrator does in
Keycloak when somebody leaves. `python -m plaza_issuer rotate`: from now on another key signs.
"""

from __future__ import annotations

import logging
import sys
import time

import uvicorn
from plaza_kit.errors import PlazaError
from plaza_kit.settings import BadSettings, load

from .app import create_app
from .keys import SigningKey
from .loopback import require_loopback
from .realm import load_realm, require_known
from .settings import IssuerSettings
from .store import Store

_USAGE = "plaza_issuer: the only arguments there are: close NAME, open NAME, rotate"


def main() -> int:
    """Exit code 0 after an orderly stop, 2 when it cannot start."""
    words = sys.argv[1:]
    if words and words != ["rotate"] and (len(words) != 2 or words[0] not in ("close", "open")):
        print(_USAGE, file=sys.stderr)
        return 2
    try:
        settings = load(IssuerSettings)
        if words == ["rotate"]:
            SigningKey.kept_in(settings.directory).rotate()
            return 0
        if words:
            _set_closed(settings, words[1], closed=words[0] == "close")
            return 0
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


def _set_closed(settings: IssuerSettings, name: str, *, closed: bool) -> None:
    """Raises UnknownName, StoreTooNew."""
    require_known(name)
    store = Store(settings.directory)
    with store.transaction():
        store.set_closed(name, closed, time.time())
    store.close()


if __name__ == "__main__":
    sys.exit(main())
