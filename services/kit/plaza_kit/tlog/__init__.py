"""The tamper-evident log as pure code: no database, no sockets, no clock.

`merkle` (trees of RFC 9162) · `tiles`, `note`, `checkpoint` (C2SP) · `leaf` (canonical JSON) ·
`proof` (what lies beside a downloaded file).
"""
