"""How long a failed job waits for its next attempt."""

from __future__ import annotations

from itertools import accumulate

from plaza_kit.db.jobs import pause_seconds


def test_a_peer_that_was_away_for_two_minutes_costs_ten_seconds_more_at_most() -> None:
    pauses = [pause_seconds(attempts) for attempts in range(20)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert all(pause <= 10 for pause, waited in zip(pauses, accumulate(pauses), strict=True) if waited <= 120)
    assert pauses[-1] == 60
    assert pauses == sorted(pauses)
