"""Reads form posts: `application/x-www-form-urlencoded` in UTF-8, of a size that a form has."""

from __future__ import annotations

from urllib.parse import parse_qsl

from plaza_kit.errors import InvalidArgument
from starlette.requests import Request

MAX_BYTES = 64 * 1024


class NotAForm(InvalidArgument):
    """The body is no form, or too long for one."""


async def read_form(request: Request) -> list[tuple[str, str]]:
    """The fields in their order, repeated ones included. Raises NotAForm."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise NotAForm("The body must be application/x-www-form-urlencoded.", remedy="Send a form.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise NotAForm(f"The body is longer than {MAX_BYTES} bytes.", remedy="Send a shorter form.")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=64, errors="strict")
    except ValueError as error:
        raise NotAForm("The body is no form in UTF-8.", remedy="Send a form.") from error
