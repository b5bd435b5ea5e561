"""Refused rows, chosen by reason and by field."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza_gateway.console import quarantine_facets
from plaza_gateway.console.desk import Which
from plaza_gateway.console.quarantine_facets import Facet, facets
from plaza_testing.console import AIR, DEPARTMENT, ROW, RUN, SESSION_OF_TESTS, City, page, sent

HERE = "/console/datasets/air/quarantine"
HELD = ing.QUARANTINE_STATE_HELD
reasons = st.sampled_from(["type", "required", "ragged"])
fields = st.sampled_from(["", "pm2_5", "no"])


@dataclass
class Rows:
    """Ingestion's quarantine, as far as it is counted."""

    loaded: list[tuple[str, str]]
    """Reason and field that the load said."""
    tried: dict[int, tuple[str, str]] = field(default_factory=dict)
    """What the last correction of a row was refused for, by its place."""
    calls: int = 0

    async def quarantine(
        self, dataset: str, which: Which, size: int, token: str = ""
    ) -> ing.ListQuarantinedRowsResponse:
        self.calls += 1
        chosen = [
            number
            for number, (reason, at) in enumerate(self.loaded)
            if which.reason in ("", reason) and which.field in ("", at)
        ]
        page = ing.ListQuarantinedRowsResponse(total_size=len(chosen))
        page.next_page_token = "more" if len(chosen) > size else ""
        for number in chosen[:size]:
            reason, at = self.tried.get(number, self.loaded[number])
            page.rows.add(reason=reason, field=at, state=HELD, replay_run=RUN if number in self.tried else "")
        return page

    def count(self, reason: str, at: str) -> int:
        return sum(reason in ("", one) and at in ("", other) for one, other in self.loaded)


@given(st.lists(st.tuples(reasons, fields), max_size=12), reasons | st.just(""), fields, st.booleans())
async def test_every_number_is_what_its_link_leads_to(
    loaded: list[tuple[str, str]], reason: str, at: str, tried: bool
) -> None:
    rows = Rows(loaded, {0: ("duplicate_key", "no")} if tried and loaded else {})
    found = await facets(rows, AIR, Which(state=HELD, reason=reason, field=at))
    for one in found.reasons:
        assert one == Facet(one.value, rows.count(one.value, at), one.value == reason)
    for one in found.fields:
        assert one == Facet(one.value, rows.count(reason, one.value), one.value == at)
    assert not reason or reason in {one.value for one in found.reasons}
    assert not at or at in {one.value for one in found.fields}
    if not tried:
        seen = {one for one, other in loaded if at in ("", other)}
        assert seen <= {one.value for one in found.reasons}


async def test_of_more_rows_than_are_listed_each_choice_is_counted_by_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quarantine_facets, "LISTED", 3)
    rows = Rows([("type", "pm2_5"), ("ragged", ""), ("type", "no"), *[("type", "pm2_5")] * 40])
    found = await facets(rows, AIR, Which(state=HELD))
    assert found.reasons == (Facet("type", 42), Facet("ragged", 1))
    assert found.fields == (Facet("pm2_5", 41), Facet("no", 1))
    assert rows.calls == 5


async def test_what_a_page_knows_already_is_not_asked_again() -> None:
    rows = Rows([("type", "pm2_5"), ("ragged", "")])
    known = await rows.quarantine(AIR, Which(), 25)
    assert (await facets(rows, AIR, Which(), known)).any
    assert rows.calls == 1
    assert not (await facets(Rows([("type", "pm2_5")] * 4), AIR, Which())).any


async def test_the_choice_stands_in_the_address_and_can_be_taken_back(
    http: httpx.AsyncClient, city: City
) -> None:
    text = await page(http, f"{HERE}?run={RUN}&why=type&field=pm2_5")
    assert Which(f"{DEPARTMENT}/runs/{RUN}", HELD, "type", "pm2_5") in city.chosen
    links = re.findall(r'<a class="tag( tag--on)?" href="([^"]*)"', text)
    assert (" tag--on", f"{HERE}?run={RUN}&amp;field=pm2_5") in links
    assert (" tag--on", f"{HERE}?run={RUN}&amp;why=type") in links
    assert f'href="{HERE}?run={RUN}">Show all of them' in text
    assert f'href="{HERE}?state=replayed&amp;run={RUN}&amp;why=type&amp;field=pm2_5"' in text
    assert "3 rows chosen" in text
    form = sent(text, HERE)
    assert (form["why"], form["field"]) == ("type", "pm2_5")
    text = await page(http, f"{HERE}?state=replayed&why=type")
    assert f'href="{HERE}?state=replayed&amp;why=type&amp;page=next%2Bpage&amp;from=3"' in text


async def test_exports_hold_the_chosen_rows_and_say_so(http: httpx.AsyncClient, city: City) -> None:
    text = await page(http, f"{HERE}?why=type")
    (repair,) = re.findall(r'href="([^"]*form=repair)" download>([^<]*)<', text)
    assert repair == (
        f"{HERE}/export?why=type&amp;form=repair",
        "Download the repair table (the 3 chosen rows only)",
    )
    await http.get(repair[0].replace("&amp;", "&"))
    assert city.exported[-1] == (Which("", HELD, "type"), ing.EXPORT_FORM_REPAIR)
    text = await page(http, HERE)
    assert f'href="{HERE}/export?form=repair"' in text
    assert "rows only)" not in text


async def test_what_follows_a_choice_keeps_it(http: httpx.AsyncClient, city: City) -> None:
    form = {"csrf": SESSION_OF_TESTS.csrf, "why": "type", "field": "pm2_5", "do": "discard", "reason": "test"}
    went = await http.post(HERE, data=form | {f"p.{ROW}": "on"})
    assert went.headers["location"] == f"{HERE}?why=type&field=pm2_5"
    city.empty = True
    text = await page(http, f"{HERE}?why=type")
    assert "No such rows" in text
    assert f'href="{HERE}">Show all of them' in text


async def test_nonsense_in_an_address_chooses_nothing(http: httpx.AsyncClient, city: City) -> None:
    await page(http, f"{HERE}?why=Type1&field=a'b")
    assert city.chosen[0] == Which()
