"""Read grants and run grants: both sides check the same rules."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.grants import (
    READ_GRANT_TYP,
    RUN_GRANT_TYP,
    GrantRefused,
    GrantVerifier,
    ReadGrant,
    RunGrant,
    sign_read_grant,
    sign_run_grant,
)
from plaza_kit.signing import KeyRing, SigningKey
from plaza_kit.statements import sign_statement, verify_statement

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
KEY = SigningKey.from_seed("plaza.example/grants", bytes(range(32)))
STRANGER = SigningKey.from_seed("plaza.example/grants", bytes(range(1, 33)))
KEYS = KeyRing([KEY.verifying_key])

READ = ReadGrant(
    grant_id="0198a6d2-0000-7000-8000-000000000001",
    principal="people/li",
    audience="sharing",
    dataset="departments/ecology/datasets/air-quality",
    table="rows",
    version=3,
    columns=("station", "pm2_5"),
    row_filter='station = "万寿西宫"',
    masks=(("station", "keep_first(station, 1)"),),
    purpose="complaint 12345",
    agreement="agreements/7",
    issued_at=NOW,
    expires_at=NOW + timedelta(seconds=60),
)
RUN = RunGrant(
    run="departments/ecology/runs/1",
    action="ingest",
    dataset="departments/ecology/datasets/air-quality",
    principal="people/li",
    username="li.na",
    departments=("ecology",),
    roles=("data-officer", "steward"),
    issued_at=NOW,
    expires_at=NOW + timedelta(hours=2),
)


def verifier(audience: str = "sharing", after: timedelta = timedelta()) -> GrantVerifier:
    return GrantVerifier(KEYS, audience, clock=lambda: NOW + after)


def read_claims(**changes: Any) -> dict[str, Any]:
    token = sign_read_grant(READ, KEY)
    return verify_statement(token, typ=READ_GRANT_TYP, keys=KEYS, audience="sharing", now=NOW) | changes


def run_claims(**changes: Any) -> dict[str, Any]:
    return verify_statement(sign_run_grant(RUN, KEY), typ=RUN_GRANT_TYP, keys=KEYS, now=NOW) | changes


def read_of(claims: dict[str, Any]) -> ReadGrant:
    return verifier().read(sign_statement(claims, typ=READ_GRANT_TYP, key=KEY))


def run_of(claims: dict[str, Any]) -> RunGrant:
    return verifier().run(sign_statement(claims, typ=RUN_GRANT_TYP, key=KEY))


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@st.composite
def read_grants(draw: st.DrawFn) -> ReadGrant:
    columns = draw(st.none() | st.lists(names, min_size=1, max_size=4, unique=True).map(tuple))
    return ReadGrant(
        grant_id=draw(names),
        principal=draw(names),
        audience="sharing",
        dataset=draw(names),
        table=draw(st.sampled_from(["rows", "quarantine"])),
        version=draw(st.none() | st.integers(1, 10**9)),
        columns=columns,
        row_filter=draw(st.just("") | names),
        masks=tuple(draw(st.dictionaries(names, names, max_size=3)).items()),
        purpose=draw(names),
        agreement=draw(st.just("") | names),
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=draw(st.integers(1, 60))),
    )


class TestReadGrant:
    @given(read_grants())
    def test_arrives_as_it_was_signed(self, grant: ReadGrant) -> None:
        assert verifier().read(sign_read_grant(grant, KEY)) == grant

    def test_holds_for_its_service_and_time_only(self) -> None:
        token = sign_read_grant(READ, KEY)
        assert verifier(after=timedelta(seconds=59)).read(token) == READ
        for changed, failed in (
            (verifier("quality"), "aud"),
            (verifier(after=timedelta(seconds=60)), "exp"),
            (verifier(after=-timedelta(minutes=1)), "iat"),
            (GrantVerifier(KeyRing([STRANGER.verifying_key]), "sharing", clock=lambda: NOW), "kid"),
        ):
            with pytest.raises(GrantRefused) as caught:
                changed.read(token)
            assert caught.value.failed == failed
            assert caught.value.facts == {"failed": failed}
            assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
            assert caught.value.remedy

    def test_uses_the_clock_by_default(self) -> None:
        start = datetime.now(UTC).replace(microsecond=0)
        grant = replace(READ, issued_at=start, expires_at=start + timedelta(seconds=60))
        assert GrantVerifier(KEYS, "sharing").read(sign_read_grant(grant, KEY)) == grant
        early = start - timedelta(days=999)
        past = sign_read_grant(replace(READ, issued_at=early, expires_at=early + timedelta(seconds=1)), KEY)
        with pytest.raises(GrantRefused):
            GrantVerifier(KEYS, "sharing").read(past)

    def test_lives_60_seconds_at_most_on_both_sides(self) -> None:
        longer = replace(READ, expires_at=NOW + timedelta(seconds=60, microseconds=1))
        with pytest.raises(GrantRefused, match="limit is 60 s") as caught:
            sign_read_grant(longer, KEY)
        assert caught.value.failed == "lifetime"
        with pytest.raises(GrantRefused, match="61 s, the limit is 60 s"):
            read_of(read_claims(exp=int(NOW.timestamp()) + 61))

    def test_fractions_of_a_second_never_lengthen_it(self) -> None:
        start = NOW + timedelta(microseconds=900_000)
        grant = replace(READ, issued_at=start, expires_at=start + timedelta(seconds=60))
        got = verifier(after=timedelta(seconds=1)).read(sign_read_grant(grant, KEY))
        assert (got.issued_at, got.expires_at) == (NOW, NOW + timedelta(seconds=60))

    @pytest.mark.parametrize(
        ("change", "failed"),
        [
            ({"grant_id": ""}, "grant_id"),
            ({"principal": ""}, "principal"),
            ({"audience": ""}, "audience"),
            ({"dataset": ""}, "dataset"),
            ({"purpose": ""}, "purpose"),
            ({"table": "verdicts"}, "table"),
            ({"version": 0}, "version"),
            ({"columns": ()}, "columns"),
            ({"columns": ("a", "a")}, "columns"),
            ({"masks": (("a", "x"), ("a", "y"))}, "masks"),
            ({"expires_at": NOW}, "lifetime"),
            ({"expires_at": NOW + timedelta(microseconds=999)}, "lifetime"),
            ({"issued_at": NOW.replace(tzinfo=None)}, "lifetime"),
            ({"row_filter": "\ud800"}, "claims"),
        ],
    )
    def test_a_senseless_grant_is_not_signed(self, change: dict[str, Any], failed: str) -> None:
        with pytest.raises(GrantRefused) as caught:
            sign_read_grant(replace(READ, **change), KEY)
        assert caught.value.failed == failed

    @pytest.mark.parametrize(
        ("change", "failed"),
        [
            ({"jti": ""}, "grant_id"),
            ({"sub": 7}, "sub"),
            ({"table": "verdicts"}, "table"),
            ({"version": -1}, "version"),
            ({"version": True}, "version"),
            ({"version": "3"}, "version"),
            ({"version": 3.0}, "version"),
            ({"columns": []}, "columns"),
            ({"columns": "station"}, "columns"),
            ({"columns": [1]}, "columns"),
            ({"masks": None}, "masks"),
            ({"masks": [["a"]]}, "masks"),
            ({"masks": [["a", 1]]}, "masks"),
            ({"masks": ["ab"]}, "masks"),
            ({"masks": [["a", "x"], ["a", "y"]]}, "masks"),
            ({"row_filter": None}, "row_filter"),
            ({"iat": 10**15, "exp": 10**15 + 1}, "iat"),
            ({"max_rows": 5}, "claims"),
        ],
    )
    def test_a_senseless_grant_is_not_accepted(self, change: dict[str, Any], failed: str) -> None:
        with pytest.raises(GrantRefused) as caught:
            read_of(read_claims(**change))
        assert caught.value.failed == failed

    def test_a_missing_member_is_no_wider_permission(self) -> None:
        for name in set(read_claims()) - {"iat", "exp", "aud"}:
            claims = read_claims()
            del claims[name]
            with pytest.raises(GrantRefused) as caught:
                read_of(claims)
            assert caught.value.failed == name

    def test_a_year_beyond_the_calendar_is_refused(self) -> None:
        claims = read_claims(iat=10**12, exp=10**12 + 1)
        token = sign_statement(claims, typ=READ_GRANT_TYP, key=KEY)
        late = GrantVerifier(KEYS, "sharing", clock=lambda: datetime.max.replace(tzinfo=UTC))
        with pytest.raises(GrantRefused):
            late.read(token)

    def test_every_field_travels(self) -> None:
        assert len(read_claims()) == len(fields(ReadGrant))
        assert len(run_claims()) == len(fields(RunGrant))


class TestRunGrant:
    def test_arrives_as_it_was_signed_at_any_service(self) -> None:
        token = sign_run_grant(RUN, KEY)
        assert verifier("ingestion", timedelta(minutes=119)).run(token) == RUN
        assert verifier("quality").run(token) == RUN

    def test_ends(self) -> None:
        with pytest.raises(GrantRefused) as caught:
            verifier(after=timedelta(hours=2)).run(sign_run_grant(RUN, KEY))
        assert caught.value.failed == "exp"

    def test_with_an_audience_it_is_something_else(self) -> None:
        with pytest.raises(GrantRefused) as caught:
            run_of(run_claims(aud="sharing"))
        assert caught.value.failed == "aud"

    def test_one_kind_of_grant_is_not_the_other(self) -> None:
        with pytest.raises(GrantRefused) as caught:
            verifier().run(sign_read_grant(READ, KEY))
        assert caught.value.failed == "typ"
        with pytest.raises(GrantRefused) as caught:
            verifier().read(sign_run_grant(RUN, KEY))
        assert caught.value.failed == "typ"

    @pytest.mark.parametrize(
        ("change", "failed"),
        [
            ({"run": ""}, "run"),
            ({"action": ""}, "action"),
            ({"principal": ""}, "principal"),
            ({"expires_at": NOW - timedelta(seconds=1)}, "lifetime"),
        ],
    )
    def test_a_senseless_grant_is_not_signed(self, change: dict[str, Any], failed: str) -> None:
        with pytest.raises(GrantRefused) as caught:
            sign_run_grant(replace(RUN, **change), KEY)
        assert caught.value.failed == failed

    @pytest.mark.parametrize(
        ("change", "failed"),
        [
            ({"sub": ""}, "principal"),
            ({"roles": "admin"}, "roles"),
            ({"departments": [None]}, "departments"),
            ({"x": 1}, "claims"),
        ],
    )
    def test_a_senseless_grant_is_not_accepted(self, change: dict[str, Any], failed: str) -> None:
        with pytest.raises(GrantRefused) as caught:
            run_of(run_claims(**change))
        assert caught.value.failed == failed
