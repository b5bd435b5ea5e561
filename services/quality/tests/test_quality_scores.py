"""Rates, scores and lights: algebra that holds for all counts."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from plaza_quality.domain.counting import Counts, Finding
from plaza_quality.domain.rules import Dimension, NotNull, Rule
from plaza_quality.domain.scores import (
    Assessment,
    Light,
    LightProfile,
    assess,
    light,
    pass_rate,
    published,
    score_text,
    weighted_mean,
)

PROFILE = LightProfile()
ORDER = [Light.RED, Light.YELLOW, Light.GREEN]

counts = st.builds(Counts, *[st.integers(0, 10**12)] * 3)
percents = st.fractions(0, 100)
weights = st.fractions(Fraction(1, 1000), 1000)
rules = st.builds(Rule, st.sampled_from(Dimension), percents, weights, st.just(NotNull("x")))
pairs = st.lists(st.tuples(rules, counts), max_size=8)


def assessed(given: list[tuple[Rule, Counts]], profile: LightProfile = PROFILE) -> Assessment:
    return assess([rule for rule, _ in given], 7, [Finding(counts) for _, counts in given], profile)


@given(counts)
def test_a_pass_rate_leaves_out_what_is_not_applicable(given: Counts) -> None:
    rate = pass_rate(given)
    if given.passed + given.failed == 0:
        assert rate is None
    else:
        assert rate is not None
        assert rate * (given.passed + given.failed) == 100 * given.passed
        assert rate == pass_rate(Counts(given.passed, given.failed, given.not_applicable + 1))


@given(pairs, st.randoms())
def test_the_order_of_the_rules_changes_nothing(given: list[tuple[Rule, Counts]], random: Random) -> None:
    shuffled = random.sample(given, len(given))
    one, other = assessed(given), assessed(shuffled)
    assert (one.score, one.light, one.dimensions) == (other.score, other.light, other.dimensions)


@given(pairs, st.fractions(Fraction(1, 100), 100))
def test_only_the_proportion_of_weights_counts(given: list[tuple[Rule, Counts]], factor: Fraction) -> None:
    scaled = [
        (Rule(rule.dimension, rule.threshold, rule.weight * factor, rule.check), counts)
        for rule, counts in given
    ]
    assert assessed(scaled).score == assessed(given).score


@given(pairs)
def test_scores_lie_between_their_parts(given: list[tuple[Rule, Counts]]) -> None:
    made = assessed(given)
    rates = [result.pass_rate for result in made.results if result.pass_rate is not None]
    if not rates:
        assert (made.score, made.light, made.dimensions) == (None, None, ())
        assert all(result.met for result in made.results)
        return
    assert made.score is not None
    assert min(rates) <= made.score <= max(rates)
    scores = [score for _, score in made.dimensions]
    assert min(scores) <= made.score <= max(scores)
    assert made.light is not None


@given(pairs)
def test_a_rule_that_judges_nothing_is_as_if_it_were_not_there(given: list[tuple[Rule, Counts]]) -> None:
    silent = Rule(Dimension.TIMELINESS, Fraction(100), Fraction(1000), NotNull("x"))
    one, other = assessed(given), assessed([*given, (silent, Counts(0, 0, 9))])
    assert (one.score, one.light, one.dimensions) == (other.score, other.light, other.dimensions)


@given(rules, counts)
def test_met_is_at_or_above_the_threshold(rule: Rule, given: Counts) -> None:
    result = assessed([(rule, given)]).results[0]
    if result.pass_rate is not None:
        assert result.met == (result.pass_rate >= rule.threshold)


@given(percents, percents, st.lists(percents))
def test_a_better_score_never_has_a_worse_light(one: Fraction, other: Fraction, rest: list[Fraction]) -> None:
    low, high = sorted((one, other))
    worse, better = light(low, rest, PROFILE), light(high, rest, PROFILE)
    assert worse is not None
    assert better is not None
    assert ORDER.index(worse) <= ORDER.index(better)


@given(percents, st.lists(percents, min_size=1), st.data())
def test_a_better_dimension_never_has_a_worse_light(
    score: Fraction, dimensions: list[Fraction], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(dimensions) - 1))
    raised = list(dimensions)
    raised[index] = data.draw(st.fractions(dimensions[index], 100))
    worse, better = light(score, dimensions, PROFILE), light(score, raised, PROFILE)
    assert worse is not None
    assert better is not None
    assert ORDER.index(worse) <= ORDER.index(better)


def test_the_default_lights() -> None:
    def of(score: str, *dimensions: str) -> Light | None:
        return light(Fraction(score), [Fraction(one) for one in dimensions], PROFILE)

    assert of("95", "95") is Light.GREEN
    assert of("94.9999") is Light.YELLOW
    assert of("85") is Light.YELLOW
    assert of("84.9999") is Light.RED
    assert of("99", "100", "84.9") is Light.RED
    assert of("99", "100", "85") is Light.GREEN
    assert light(None, [], PROFILE) is None


def test_a_city_has_its_own_lights() -> None:
    strict = LightProfile(Decimal("99.5"), Decimal(98), Decimal(0))
    assert light(Fraction(99), [Fraction(1)], strict) is Light.YELLOW
    assert light(Fraction("97.9"), [], strict) is Light.RED


@given(percents)
def test_a_published_score_stands_on_the_same_side_of_every_threshold(score: Fraction) -> None:
    written = published(score)
    assert 0 <= score - Fraction(written) < Fraction(1, 10**4)
    for threshold in (Decimal("84.9999"), Decimal(85), Decimal(95), Decimal(100)):
        assert (score >= threshold) == (written >= threshold)
    text = score_text(score)
    assert Decimal(text) == written
    assert len(text.partition(".")[2]) <= 4
    assert "E" not in text


def test_scores_as_text() -> None:
    assert score_text(Fraction(100)) == "100"
    assert score_text(Fraction(0)) == "0"
    assert score_text(Fraction("97.84")) == "97.84"
    assert score_text(Fraction(200, 3)) == "66.6666"
    assert score_text(Fraction(999_999_999, 10_000_000)) == "99.9999"
    assert score_text(None) == ""


def test_the_mean_is_weighted() -> None:
    assert weighted_mean([(Fraction(100), Fraction(3)), (Fraction(0), Fraction(1))]) == 75
    assert weighted_mean([]) is None
