"""Entity tags: the `etag` of a resource (AIP-154) as HTTP headers (RFC 9110, sections 8.8.3 and 13.1).
And the key that makes a repeated request harmless.

In messages an etag stands without quotes; the quotes belong to the headers.
"""

from __future__ import annotations

import re

from plaza_gateway.transcode.problems import Complaint, Problem

_KEY = re.compile(r'("?)([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})("?)')
_STRONG = re.compile(r'"([\x21\x23-\x7e]+)"')
_ANY_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def header_of(etag: str) -> str:
    """The `ETag` header; empty when the etag cannot be one."""
    quoted = f'"{etag}"'
    return quoted if _STRONG.fullmatch(quoted) else ""


def expected(if_match: str) -> str:
    """The etag that `If-Match` asks for; empty for `*`. Raises Problem: 400 ill-formed, 412 a weak tag."""
    text = if_match.strip()
    if text == "*":
        return ""
    if found := _STRONG.fullmatch(text):
        return found[1]
    if _ANY_TAG.fullmatch(text):
        raise stale("If-Match compares strongly; a weak entity tag never matches")
    raise Problem.of_complaints(
        (Complaint("header", "If-Match", 'must be one entity tag, as in "4a6d", or *'),)
    )


def idempotency_key(text: str) -> str:
    """The UUID of an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header: a string of RFC 9651, so in
    quotes; without them it is understood too). Raises Problem (400)."""
    found = _KEY.fullmatch(text.strip())
    if found is None or found[1] != found[3]:
        raise Problem.of_complaints(
            (Complaint("header", "Idempotency-Key", "must be a UUID, a new one for each new request"),)
        )
    return found[2]


def stale(detail: str) -> Problem:
    """412: somebody else was faster."""
    return Problem(
        412,
        "PRECONDITION_FAILED",
        detail,
        remedy="Read the resource again and repeat the change on what it is now.",
    )


def fresh(if_none_match: str, etag_header: str) -> bool:
    """True when the caller's copy is still good (weak comparison), so that 304 is the answer."""
    if not etag_header:
        return False
    if if_none_match.strip() == "*":
        return True
    return etag_header.strip('"') in _ANY_TAG.findall(if_none_match)
