"""What every request passes before anything answers it: cross-origin rules, quotas, sizes and time-outs."""

from plaza_gateway.door.door import Door

__all__ = ["Door"]
