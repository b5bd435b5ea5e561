"""`plaza dataset register`: a dataset enters the directory."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .failures import WrongUse
from .names import DatasetArgument, DatasetName, constant, short, without_empty
from .surroundings import JsonOption, UrlOption, plaza

_MAX_CONTRACT_BYTES = 1 << 20


class Grade(StrEnum):
    """The city's own grading."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SENSITIVE = "sensitive"
    CORE = "core"


class SharingClass(StrEnum):
    """How a dataset is shared between departments."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NOT_SHARED = "not-shared"


class UpdateCycle(StrEnum):
    """How often the data promise to be updated."""

    REAL_TIME = "real-time"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"
    IRREGULAR = "irregular"


def register(
    context: typer.Context,
    name: DatasetArgument,
    contract: Annotated[
        Path, typer.Option("--contract", exists=True, dir_okay=False, help="ODCS 3.1 document in YAML.")
    ],
    grade: Annotated[Grade, typer.Option("--grade", help="Grade of the whole dataset; fields inherit it.")],
    sharing_class: Annotated[
        SharingClass, typer.Option("--sharing-class", help="How other departments get it.")
    ],
    sharing_condition: Annotated[
        str | None,
        typer.Option("--sharing-condition", help="Who may ask and for what; the law when not shared."),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="Name shown to people. [default: the document's]")
    ] = None,
    title_en: Annotated[str | None, typer.Option("--title-en", help="The same in English.")] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="Summary. [default: the document's]")
    ] = None,
    description_en: Annotated[
        str | None, typer.Option("--description-en", help="The same in English.")
    ] = None,
    category: Annotated[str | None, typer.Option("--category", help="Class in the directory.")] = None,
    update_cycle: Annotated[
        UpdateCycle | None, typer.Option("--update-cycle", help="How often it promises to be updated.")
    ] = None,
    open_to_public: Annotated[
        bool, typer.Option("--open", help="The data may be opened to everybody; needs the grade public.")
    ] = False,
    licence: Annotated[str | None, typer.Option("--licence", help="SPDX id, for example CC-BY-4.0.")] = None,
    keyword: Annotated[
        list[str] | None, typer.Option("--keyword", help="A word to find it by; may be repeated.")
    ] = None,
    source_system: Annotated[
        str | None,
        typer.Option("--source-system", help="Id of the department's source system that the data come from."),
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a dataset with its contract; you confirm grade and sharing class by doing so."""
    here = plaza(context, url, as_json)
    wanted = DatasetName.parse(name)
    parsed = here.api.post("contracts:parse", {"document": read_contract(contract)})
    display_name = title or parsed.get("title")
    if not display_name:
        raise WrongUse(f"{contract} does not name the dataset", remedy="Give its name with --title.")
    sharing = {"class": constant("SHARING_CLASS", sharing_class), "condition": sharing_condition}
    body = {
        "displayName": display_name,
        "displayNameEn": title_en,
        "descriptionEn": description_en,
        "description": description or parsed.get("description"),
        "contract": parsed.get("contract"),
        "cityLevel": constant("CITY_LEVEL", grade),
        "sharing": without_empty(sharing),
        "category": category,
        "updateCycle": constant("UPDATE_CYCLE", update_cycle) if update_cycle else None,
        "opening": {"allowed": True} if open_to_public else None,
        "licence": licence,
        "keywords": keyword,
        "sourceSystem": (
            f"departments/{wanted.department}/sourceSystems/{source_system}" if source_system else None
        ),
    }
    made = here.api.post(
        f"departments/{wanted.department}/datasets", without_empty(body), {"datasetId": wanted.dataset}
    )
    if here.out.as_json:
        here.out.document(made)
    else:
        here.out.line(f"Registered {short(made.get('name'))}: {made.get('displayName', '')}")


def read_contract(path: Path) -> str:
    """The text of a contract's document. Raises `WrongUse`."""
    try:
        data = path.read_bytes()
        if len(data) > _MAX_CONTRACT_BYTES:
            raise WrongUse(f"{path} has {len(data):,} bytes, a contract at most {_MAX_CONTRACT_BYTES:,}")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUse(
            f"{path} is not UTF-8 (byte {error.start})", remedy="Save the document as UTF-8."
        ) from error
