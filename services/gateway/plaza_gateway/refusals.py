"""What is answered where no route answers: a problem document to programs, a page to people."""

from __future__ import annotations

from plaza_kit import telemetry
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from plaza_gateway.portal.routes import error_response
from plaza_gateway.portal.views import Site
from plaza_gateway.transcode import Problem
from plaza_gateway.transcode.problems import phrase

_FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics")


class Refusals:
    """Handlers for the whole application. Pages are answered only where there is a portal."""

    def __init__(self, site: Site | None) -> None:
        self._site = site

    async def of_http(self, request: Request, error: Exception) -> Response:
        """What the router refuses: an unknown path (404), a method that is not possible (405)."""
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            problem = Problem(
                404,
                "NO_SUCH_ADDRESS",
                f"there is nothing at {request.url.path}",
                remedy="the interface begins at /api/v1; /api/v1/openapi.json describes it",
            )
        else:
            reason = phrase(error.status_code).upper().replace(" ", "_")
            problem = Problem(error.status_code, reason, str(error.detail), headers=error.headers)
        return self._answer(request, problem)

    async def of_fault(self, request: Request, _error: Exception) -> Response:
        """A fault of ours; the server logs it."""
        return self._answer(request, Problem(500, "INTERNAL", "an internal error; the logs name it"))

    def of_problem(self, request: Request, problem: Exception) -> Response:
        """What the door, or a body that is read, refuses."""
        assert isinstance(problem, Problem)
        return self._answer(request, problem)

    async def of_problem_inside(self, request: Request, problem: Exception) -> Response:
        """The same, as a handler."""
        return self.of_problem(request, problem)

    def _answer(self, request: Request, problem: Problem) -> Response:
        if self._site is not None and not request.url.path.startswith(_FOR_PROGRAMS):
            response: Response = error_response(request, self._site, problem.status)
            response.headers.update(problem.headers)
            return response
        body = problem.body(telemetry.current_trace_id())
        headers = {"Content-Language": "en", "Cache-Control": "no-store", **problem.headers}
        return Response(body, problem.status, headers, "application/problem+json")
