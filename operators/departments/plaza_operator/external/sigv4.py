"""AWS Signature Version 4 for single requests with a whole body (AWS General Reference, "Signature Version 4")."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed(
    method: str,
    url: str,
    query: dict[str, str],
    body: bytes,
    *,
    access: str,
    secret: str,
    region: str,
    at: datetime,
) -> tuple[str, dict[str, str]]:
    """The address with its query, and the headers that prove who asks. `at` in UTC; service `s3`."""
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe="/-_.~")
    canonical_query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items())
    )
    digest = hashlib.sha256(body).hexdigest()
    moment, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    headers = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names = ";".join(sorted(headers))
    lines = [
        method,
        path,
        canonical_query,
        *(f"{k}:{headers[k]}" for k in sorted(headers)),
        "",
        names,
        digest,
    ]
    scope = f"{day}/{region}/s3/aws4_request"
    request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(
        key, "\n".join((_ALGORITHM, moment, scope, request)).encode(), hashlib.sha256
    ).hexdigest()
    proof = f"{_ALGORITHM} Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    address = f"{parts.scheme}://{parts.netloc}{path}" + (f"?{canonical_query}" if canonical_query else "")
    return address, {**headers, "authorization": proof}
