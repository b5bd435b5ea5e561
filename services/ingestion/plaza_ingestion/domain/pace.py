"""How fast a run reads, from what its worker tells at each renewal of its lease."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HALF_LIFE_SECONDS: Final = 3.0
"""So much older news counts half: a pace of the last seconds, without jumps from one renewal to the next."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Zeros: nothing can be said."""

    rows_a_second: float = 0.0
    bytes_a_second: float = 0.0

    def after(self, seconds: float, rows: int, size: int) -> Pace:
        """With the news that `rows` and `size` bytes were read in the last `seconds`. Less than nothing read
        means that another worker began anew."""
        if rows < 0 or size < 0:
            return Pace()
        if seconds <= 0:
            return self
        now = Pace(rows / seconds, size / seconds)
        if not self.bytes_a_second:
            return now
        old = 0.5 ** (seconds / _HALF_LIFE_SECONDS)
        return Pace(
            old * self.rows_a_second + (1 - old) * now.rows_a_second,
            old * self.bytes_a_second + (1 - old) * now.bytes_a_second,
        )

    def remaining_seconds(self, left: int) -> int | None:
        """For so many bytes; None while nothing can be said."""
        return round(left / self.bytes_a_second) if self.bytes_a_second >= 1 else None
