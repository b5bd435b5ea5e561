"""HTTP headers of every page: nothing runs or loads that we did not serve ourselves."""

from __future__ import annotations

from types import MappingProxyType

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No inline style, no inline script, no other origin (W3C CSP level 3)."""

PAGE_HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        # language and theme come from cookies: a page is fresh, and not one for all
        "Cache-Control": "private, no-cache",
        "Vary": "Cookie, Accept-Language",
    }
)
"""Put these on every HTML answer."""
