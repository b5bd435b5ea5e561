"""`plaza quality suggest` and `plaza quality rules`: rules that might be worth having, and those in force."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import typer

from .names import DatasetArgument, DatasetName, word
from .output import count, whole
from .quality_profile import made, versioned
from .surroundings import JsonOption, UrlOption, plaza


def suggest(
    context: typer.Context,
    dataset: DatasetArgument,
    accept: Annotated[
        str | None, typer.Option("--accept", metavar="ID,…", help="Take these into the contract.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --accept: only ask whether they would be taken.")
    ] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show rules that the newest version speaks for, with what was counted; or accept some of them.

    Accepted rules are part of the dataset's next contract, which every load must meet from then on.
    """
    here = plaza(context, url, as_json)
    name = DatasetName.parse(dataset)
    if accept is None:
        made(here, *versioned(here, dataset))
        found = list(here.api.pages(f"{name.path}/ruleSuggestions", "suggestions"))
        if here.out.as_json:
            here.out.document(found)
            return
        here.out.table(
            ["id", "title", "threshold", "passed", "failed", "n/a", "seen"],
            (_suggestion(each) for each in found),
        )
        return
    rules = [each.strip() for each in accept.split(",") if each.strip()]
    body = {"rules": rules, "requestId": str(uuid.uuid4()), "validateOnly": dry_run}
    answer = here.api.post(f"{name.path}/ruleSuggestions:accept", body)
    if here.out.as_json:
        here.out.document(answer)
        return
    number = whole(answer, "contractVersion")
    added = count(len(answer.get("rules", [])), "rule")
    if dry_run:
        here.out.note(f"{name}: would be contract {number} with {added} more; nothing was written")
    else:
        here.out.note(f"{name}: contract {number} is in force, {added} more")


def rules(
    context: typer.Context, dataset: DatasetArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show the rules in force, each with what the newest assessed version said to it."""
    here = plaza(context, url, as_json)
    name = DatasetName.parse(dataset)
    contract = here.api.get(name.path).get("contract") or {}
    newest = next(here.api.pages(f"{name.path}/assessments", "assessments", limit=1), None) or {}
    # A rule that was changed since has not been asked yet.
    results = {str(each.get("rule")): each for each in newest.get("rules", [])}
    found = [
        {"rule": rule, "lastResult": results.get(str(rule)), "version": newest.get("version")}
        for rule in contract.get("rules", [])
    ]
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["rule", "title", "dimension", "indicator", "severity", "needs", "pass rate", "failed", ""],
        (_rule(each) for each in found),
    )


def _suggestion(each: dict[str, Any]) -> tuple[object, ...]:
    rule = each.get("rule") or {}
    return (
        rule.get("id"),
        rule.get("title"),
        rule.get("thresholdPercent", 0.0),
        whole(each, "passed"),
        whole(each, "failed"),
        whole(each, "notApplicable"),
        each.get("evidence"),
    )


def _rule(each: dict[str, Any]) -> tuple[object, ...]:
    rule, result = each["rule"], each["lastResult"] or {}
    said = "" if not each["lastResult"] else "met" if result.get("met") else "not met"
    return (
        rule.get("id"),
        rule.get("title"),
        word(rule.get("dimension"), "DIMENSION"),
        rule.get("indicator") or result.get("indicator"),
        word(rule.get("severity"), "RULE_SEVERITY") or "minor",
        rule.get("thresholdPercent", 0.0),
        result.get("passRate", ""),
        whole(result, "failed") if result else "",
        said or "not asked yet",
    )
