"""`Link` (RFC 8288): where the next page is."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

_TOKEN = b"pageToken"


def next_page(query: bytes, token: str) -> dict[str, str]:
    """The header of an answer whose next page has this token; none without one. The target is the same address with
    another query: so it holds behind any proxy."""
    if not token:
        return {}
    kept = [part for part in query.split(b"&") if part and not _is_token(part)]
    # What came as it came, but nothing that could end the header's brackets.
    parts = [quote(part, safe="=%+,;:@!$'()*~/?") for part in kept]
    parts.append(f"pageToken={quote(token, safe='')}")
    return {"Link": f'<?{"&".join(parts)}>; rel="next"'}


def _is_token(part: bytes) -> bool:
    return unquote_to_bytes(part.partition(b"=")[0]) == _TOKEN
