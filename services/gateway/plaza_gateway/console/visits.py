"""One request of somebody who is signed in, and the answers that every page gives in the same way."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from plaza_design.pages import Frame
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from plaza_gateway.console import forms, pages, views
from plaza_gateway.console.archives import Entry, Passing
from plaza_gateway.console.desk import Desk
from plaza_gateway.console.sessions import Session
from plaza_gateway.console.views import Person
from plaza_gateway.transcode.problems import Complaint, Problem

HOME = "/console/"
NEVER_KEPT = {"Cache-Control": "no-store"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
"""Ids that the services make themselves."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    session: Session
    desk: Desk
    person: Person
    frame: Frame
    form: Mapping[str, str] = field(default_factory=dict)
    portal: str | None = ""
    """What stands before the portal's paths; None: where it is nobody knows."""

    @property
    def department(self) -> str:
        """Resource name of the department that the person works for just now."""
        return f"departments/{self.person.department}"

    @property
    def dataset(self) -> str:
        """Resource name of the dataset in the address."""
        return f"{self.department}/datasets/{self.request.path_params['dataset']}"

    @property
    def dataset_page(self) -> str:
        """Path of the dataset in the address."""
        return f"/console/datasets/{self.request.path_params['dataset']}"

    @property
    def run(self) -> str:
        """Resource name of the run in the address."""
        return f"{self.department}/runs/{self.request.path_params['run']}"

    def asked(self, name: str) -> str:
        """A value of the address's query; empty when it is not there."""
        return self.request.query_params.get(name, "")

    def named_run(self, id_: str) -> str:
        """Resource name of a run of this department; empty stays empty."""
        return f"{self.department}/runs/{id_}" if id_ else ""

    def at_dataset(self, name: str) -> Visit:
        """The same visit, at a dataset's address."""
        scope: dict[str, Any] = {**self.request.scope, "path_params": {"dataset": views.last(name)}}
        return replace(self, request=Request(scope, self.request.receive))


Page = Callable[[Visit], Awaitable[Response]]


def html(body: str, status: int = 200) -> HTMLResponse:
    """A page, with the headers of every page."""
    return HTMLResponse(body, status, headers=dict(pages.HEADERS))


def status_of(problem: Problem | None) -> int:
    """Of a page that shows a form, with or without a refusal."""
    return problem.status if problem is not None else 200


def go(address: str) -> RedirectResponse:
    """After a form: the page that shows what came of it."""
    return RedirectResponse(address, 303, NEVER_KEPT)


def request_id() -> str:
    """What makes a form that is sent twice one request (AIP-155)."""
    return str(uuid.uuid4())


def whole_number(text: str, otherwise: int, most: int = 10**9) -> int:
    """A number in an address, which anybody can write."""
    return min(int(text), most) if text.isascii() and text.isdecimal() else otherwise


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was passed on."""

    name: str
    """Of the upload, at the service."""
    file_name: str
    fields: Mapping[str, str]
    """The small fields before it."""
    entries: tuple[Entry, ...] = ()
    """The files of an archive of several."""


async def upload(visit: Visit) -> Kept:
    """The form's file, passed on as it comes."""
    sent = forms.FileForm(visit.request, visit.session)
    await sent.open()
    if not sent.file_name:
        raise Problem(400, "NO_FILE", "", errors=(Complaint("body", "file", ""),))
    passing = Passing(sent.pieces())
    kept = await visit.desk.upload(visit.department, sent.file_name[:255], passing.pieces())
    return Kept(kept.name, sent.file_name, sent.fields, passing.entries())
