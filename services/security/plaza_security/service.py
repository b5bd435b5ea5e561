"""How the parts of security fit together."""

from __future__ import annotations

from plaza.common.v1 import events_pb2_grpc
from plaza.security.v1 import security_pb2_grpc as pb_grpc
from plaza_kit.db.inbox import EventSink
from plaza_kit.identity import ClosedAccounts, ServiceTokens
from plaza_kit.identity.closed_accounts import SCOPE
from plaza_kit.service import Parts, Runtime, ServiceSpec
from plaza_kit.signing import SigningKey

from plaza_security.domain.grants import RUN_LIFETIME
from plaza_security.rpc import servicers
from plaza_security.rpc.ledger import LedgerServicer
from plaza_security.settings import SecuritySettings
from plaza_security.usecases.authority import Authority
from plaza_security.usecases.bundles import BundleService
from plaza_security.usecases.events import handlers
from plaza_security.usecases.gradings import Gradings
from plaza_security.usecases.grants import Grants
from plaza_security.usecases.leavers import Leavers
from plaza_security.usecases.ledger import Ledger

SPEC = ServiceSpec(name="security", schema="security", package="plaza_security")
_MARGIN_SECONDS = 600.0
"""A grant may be signed on a token that was given just before."""


async def build(settings: SecuritySettings, runtime: Runtime) -> Parts:
    """Load the keys and wire everything. Raises KeyFileMissing, UnsafeKeyFile or BadKey."""
    database = runtime.database
    key = SigningKey.load(settings.signing_key_file)
    leavers = _leavers(settings) if settings.ask_for_leavers else None
    authority = Authority(settings.denied_file, leavers.closed if leavers is not None else frozenset)
    ledger = Ledger(database, SigningKey.load(settings.ledger_key_file), settings.ledger_origin, authority)
    caller = servicers.CallerServicer()
    gradings = servicers.GradingServicer(Gradings(database, authority))
    policy = servicers.PolicyServicer(BundleService(authority, key, leavers))
    grants = servicers.GrantServicer(Grants(database, authority, key, runtime.grants))
    log = LedgerServicer(ledger)
    sink = EventSink(database, handlers(ledger))
    return Parts(
        registrations=(
            lambda server: pb_grpc.add_CallerServiceServicer_to_server(caller, server),
            lambda server: pb_grpc.add_GradingServiceServicer_to_server(gradings, server),
            lambda server: pb_grpc.add_PolicyServiceServicer_to_server(policy, server),
            lambda server: pb_grpc.add_GrantServiceServicer_to_server(grants, server),
            lambda server: pb_grpc.add_LedgerServiceServicer_to_server(log, server),
            lambda server: events_pb2_grpc.add_EventSinkServiceServicer_to_server(sink, server),
        ),
        service_names=(
            "plaza.security.v1.CallerService",
            "plaza.security.v1.GradingService",
            "plaza.security.v1.PolicyService",
            "plaza.security.v1.GrantService",
            "plaza.security.v1.LedgerService",
            "plaza.common.v1.EventSinkService",
        ),
        background=(leavers.run,) if leavers is not None else (),
    )


def _leavers(settings: SecuritySettings) -> Leavers:
    tokens = ServiceTokens(
        settings.issuer,
        settings.client_id,
        settings.client_secret,
        scope=SCOPE,
        connect_to=settings.issuer_connect,
    )
    accounts = ClosedAccounts(
        tokens,
        # A job works on somebody's word for longer than any token lives.
        remembered_seconds=RUN_LIFETIME.total_seconds() + _MARGIN_SECONDS,
        connect_to=settings.issuer_connect,
    )
    return Leavers(accounts)
