"""`python -m plaza_operator`: the operator. `python -m plaza_operator realm`: the realm once, then ends."""

from __future__ import annotations

import asyncio
import os
import sys

from plaza_kit import telemetry
from plaza_kit.settings import BadSettings, load

from plaza_operator.domain.errors import ReconcileError
from plaza_operator.settings import OperatorSettings, RealmSettings

if __name__ == "__main__":
    # kopf asks for the user's name, and a numeric user in a container has none.
    os.environ.setdefault("LOGNAME", "plaza-operator")
    try:
        if sys.argv[1:] == ["realm"]:
            from plaza_operator.realm.keeping import once

            realm_settings = load(RealmSettings)
            realm_settings.check()
            asyncio.run(once(realm_settings))
        else:
            from plaza_operator.handlers import run

            settings = load(OperatorSettings)
            settings.check()
            telemetry.configure("operator", log_level=settings.log_level)
            asyncio.run(run(settings))
    except (BadSettings, ReconcileError) as error:
        sys.exit(f"plaza-operator: {error}")
