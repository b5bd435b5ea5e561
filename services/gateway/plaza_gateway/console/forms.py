"""What browsers send: forms and files, taken only from pages of the same session.

Two checks (OWASP CSRF prevention): the browser's own word on where the form stands (`Origin`), and the
session's token inside the form.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from plaza_kit.errors import InvalidArgument, PermissionDenied
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from plaza_gateway.console.sessions import Session
from plaza_gateway.transcode.problems import Problem

CSRF = "csrf"
"""Name of the hidden field."""
LONGEST_FORM = 4 * 1024 * 1024
"""Bytes: a contract has up to 1,600 fields with fourteen values each."""
_MOST_FIELDS = 60_000
"""Steps name fields too."""
_LONGEST_VALUE = 4096
_MOST_BESIDE_FILE = 20
_FILE = "file"


class ForeignForm(PermissionDenied):
    """The form does not come from a page that this session was shown."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The form was not taken: {why}.",
            remedy="Open the page again and send the form from there.",
            facts={"why": why},
        )


class BadForm(InvalidArgument):
    """The body is no form."""


def check_origin(request: Request, base_url: str) -> None:
    """Raises ForeignForm unless the browser says that the form stands on a page of ours."""
    origin = request.headers.get("origin")
    if origin is None or origin.rstrip("/") != base_url:
        raise ForeignForm("it stands on a page of another place")


async def read_form(request: Request, session: Session) -> dict[str, str]:
    """The fields of a form of this session. Raises BadForm, ForeignForm."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise BadForm("The form is too long.", remedy="Send less.")
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise BadForm("This is no form in UTF-8.", remedy="Send it from the page.") from error
    form = dict(fields)
    check_token(form, session)
    return form


def check_token(form: Mapping[str, str], session: Session) -> None:
    """Raises ForeignForm unless the form carries the session's token."""
    if not session.trusts(form.get(CSRF, "")):
        raise ForeignForm("it belongs to another session")


@dataclass(slots=True)
class _Part:
    name: str = ""
    file_name: str = ""


class FileForm:
    """A form with one file, read as it comes: first the small fields, then the file, which is never held.

    The small fields must stand before the file in the page, for whether the file is taken depends on them.
    """

    def __init__(self, request: Request, session: Session) -> None:
        self._stream = request.stream()
        self._session = session
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self._header: list[bytes] = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._part = _Part()
        self._value = bytearray()
        self._pieces: list[bytes] = []
        self._in_file = False
        self._over = False
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise BadForm("This is no form with a file.", remedy="Send it from the page.")
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_end": self._finish,
            },
        )

    async def open(self) -> None:
        """Reads up to the file. Raises BadForm, ForeignForm; without a file `file_name` stays empty."""
        while not self._in_file and not self._over and await self._feed():
            pass
        check_token(self.fields, self._session)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes of the file. Raises BadForm when it was cut off."""
        while True:
            for piece in self._pieces:
                yield piece
            self._pieces = []
            if self._over:
                return
            if not await self._feed():
                raise BadForm("The file was cut off.", remedy="Send it again.")

    async def _feed(self) -> bool:
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration:
            return False
        if chunk:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise BadForm("This is no whole form.", remedy="Send it from the page.") from error
            return True
        return False

    def _begin(self) -> None:
        self._part, self._headers, self._value = _Part(), {}, bytearray()

    def _add(self, which: int, data: bytes) -> None:
        self._header[which] += data

    def _header_end(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = [b"", b""]

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        self._part.file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        if self._part.name == _FILE:
            # Some browsers send a whole path.
            self.file_name = self._part.file_name.replace("\\", "/").rpartition("/")[2]
            self._in_file = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == _FILE:
            self._pieces.append(bytes(data[start:end]))
            return
        self._value += data[start:end]
        if len(self._value) > _LONGEST_VALUE:
            raise BadForm("The form is too long.", remedy="Send less.")

    def _end(self) -> None:
        if self._part.name != _FILE:
            self.fields[self._part.name] = self._value.decode("utf-8", "replace")
        if len(self.fields) > _MOST_BESIDE_FILE:
            raise BadForm("The form has too many fields.", remedy="Send it from the page.")

    def _finish(self) -> None:
        self._over = True


def by_place(problem: Problem, place_of: Callable[[str], str]) -> dict[str, str]:
    """What is wrong by the place in a form; empty where the page has words of its own. `place_of`: the form's field
    that a pointer of the service leads to."""
    found: dict[str, str] = {}
    for complaint in problem.errors:
        place = place_of(complaint.pointer)
        found[place] = "; ".join(filter(None, (found.get(place, ""), complaint.detail)))
    return found
