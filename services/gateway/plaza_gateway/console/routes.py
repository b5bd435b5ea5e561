"""The console's addresses below `/console`. Everything comes from the services by way of the person's own
token; what they refuse is said on the page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plaza_gateway.console import (
    adopting,
    datasets,
    describing,
    front,
    loading,
    orders,
    quality,
    registering,
    repairing,
    reports,
    sources,
    standards,
    systems,
)
from plaza_gateway.console.desk import Desk
from plaza_gateway.console.door import CALLBACK, Body, Clock, Door
from plaza_gateway.console.issuer import Issuer
from plaza_gateway.console.sessions import Sessions
from plaza_gateway.console.visits import HOME, NEVER_KEPT, Page, Visit
from plaza_gateway.portal.views import Site
from plaza_gateway.transcode.problems import Problem

_ONE = "/console/datasets/{dataset}"
_SOURCE = "/console/sources/{source}"
_SYSTEM = "/console/systems/{system}"
_CODES = "/console/codes/{list}"
_ORDER = "/console/orders/{department}/{order}"
_SHOWN: tuple[tuple[str, Page], ...] = (
    (HOME, front.inbox),
    ("/console/datasets", datasets.datasets),
    (_ONE, datasets.dataset),
    (f"{_ONE}/contract", adopting.contract_form),
    (f"{_ONE}/contract/document", adopting.document),
    (f"{_ONE}/edit", describing.edit_form),
    (f"{_ONE}/history", describing.history),
    (f"{_ONE}/load", loading.load_form),
    (f"{_ONE}/quarantine", repairing.quarantine),
    (f"{_ONE}/quarantine/export", repairing.export),
    (f"{_ONE}/quality", quality.dataset),
    ("/console/quality", quality.board),
    ("/console/orders", orders.orders),
    (_ORDER, orders.order),
    ("/console/reports", reports.reports),
    ("/console/reports/{report}/file", reports.file),
    ("/console/register", registering.register_form),
    ("/console/register/{run}", registering.contract),
    ("/console/sources", sources.sources),
    (_SOURCE, sources.source),
    (f"{_SOURCE}/edit", sources.edit_form),
    ("/console/register-source", sources.register_form),
    ("/console/systems", systems.systems),
    (_SYSTEM, systems.system),
    (f"{_SYSTEM}/edit", systems.edit_form),
    ("/console/register-system", systems.system_form),
    ("/console/codes", standards.lists),
    (_CODES, standards.code_list),
    (f"{_CODES}/versions/{{version}}", standards.code_list),
    (f"{_CODES}/differences", standards.compare),
    (f"{_CODES}/add", standards.version_form),
    ("/console/add-codes", standards.version_form),
    ("/console/runs/{run}", loading.run),
    ("/console/runs/{run}/events", loading.events),
)
_SENT: tuple[tuple[str, Page, Body], ...] = (
    (f"{_ONE}/contract", adopting.contract, "form"),
    (f"{_ONE}/contract/document", adopting.document_sent, "file"),
    (f"{_ONE}/contract/infer", adopting.infer, "file"),
    (f"{_ONE}/contract/infer/table", adopting.infer_table, "form"),
    (f"{_ONE}/edit", describing.edit, "form"),
    (f"{_ONE}/history/{{version}}/restore", describing.restore, "form"),
    (f"{_ONE}/load", loading.load, "file"),
    (f"{_ONE}/load/again", loading.load_again, "form"),
    (f"{_ONE}/load/table", loading.load_table, "form"),
    (f"{_ONE}/quarantine", repairing.correct, "form"),
    (f"{_ONE}/quarantine/replay", repairing.replay, "file"),
    (f"{_ONE}/release", datasets.release, "form"),
    (f"{_ORDER}/accept", orders.accept, "form"),
    (f"{_ORDER}/answer", orders.answer, "form"),
    (f"{_ORDER}/comment", orders.comment, "form"),
    ("/console/reports", reports.make, "form"),
    ("/console/register", registering.infer, "file"),
    ("/console/register/table", registering.infer_table, "form"),
    ("/console/register/{run}", registering.register, "form"),
    (f"{_SOURCE}/edit", sources.edit, "form"),
    (f"{_SOURCE}/pull", sources.pull, "form"),
    (f"{_SOURCE}/pause", sources.pause, "form"),
    (f"{_SOURCE}/resume", sources.resume, "form"),
    (f"{_SOURCE}/schedule", sources.schedule, "form"),
    ("/console/register-source", sources.register, "form"),
    (f"{_SYSTEM}/edit", systems.edit, "form"),
    (f"{_SYSTEM}/retire", systems.retire, "form"),
    ("/console/register-system", systems.register_system, "form"),
    (f"{_CODES}/add", standards.add_version, "file"),
    ("/console/add-codes", standards.add_version, "file"),
    ("/console/runs/{run}/cancel", loading.cancel, "form"),
)


def console_router(
    site: Site,
    sessions: Callable[[], Sessions],
    issuer: Callable[[], Issuer],
    desk: Callable[[str], Desk],
    clock: Clock = lambda: datetime.now(UTC),
    *,
    portal: str | None = "",
) -> APIRouter:
    """Routes below `/console`; none is in the OpenAPI. `sessions` and `issuer` are asked for with each request:
    they belong to the running loop. `desk` opens the services for an access token. `portal`: what stands before
    its paths, nothing when it is here; None: nobody knows where it is."""
    door = Door(site, sessions, issuer, desk, clock, portal)
    router = APIRouter(include_in_schema=False)
    router.add_route("/console", _front, methods=["GET"])
    router.add_route("/console/login", door.login, methods=["GET"])
    router.add_route(CALLBACK, door.callback, methods=["GET"])
    router.add_route("/console/signed-out", door.signed_out, methods=["GET"])
    router.add_route("/console/logout", door.logout, methods=["POST"])
    router.add_route("/console/department", door.signed_in(door.work_for, "form"), methods=["POST"])
    shown = {path for path, _ in _SHOWN}
    for path, page, body in _SENT:
        router.add_route(path, door.signed_in(page, body), methods=["POST"])
        if path not in shown:
            router.add_route(path, _above(path, shown), methods=["GET"])
    for path, page in _SHOWN:
        router.add_route(path, door.signed_in(page, "none"), methods=["GET"])
    router.add_route("/console/{rest:path}", door.signed_in(_nowhere, "none"), methods=["GET"])
    return router


async def _front(request: Request) -> Response:
    return RedirectResponse(HOME, 302, NEVER_KEPT)


def _above(path: str, shown: Container[str]) -> Callable[[Request], Awaitable[Response]]:
    """A refusal stands at the address that a form was sent to. Whoever asks for that address, with a page in another
    language say, gets to the nearest one above it that shows something."""
    steps = 1
    while path.rsplit("/", steps)[0] not in shown:
        steps += 1

    async def endpoint(request: Request) -> Response:
        there, query = request.url.path.rsplit("/", steps)[0], request.url.query
        return RedirectResponse(f"{there}?{query}" if query else there, 302, NEVER_KEPT)

    return endpoint


async def _nowhere(visit: Visit) -> Response:
    raise Problem(404, "NO_SUCH_ADDRESS", f"there is nothing at {visit.request.url.path}")
