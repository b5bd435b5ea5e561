"""`plaza status`: which processes of this home run, and how often they had to be started again."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.table import Table

from plaza_cli.home import Home


def show(as_json: bool) -> None:
    """Print the state of the suite. Exits with 4 when nothing runs on this home."""
    home = Home.from_environment()
    status = json.loads(home.status_file.read_text()) if home.status_file.exists() else {}
    if not status or not _alive(int(status["pid"])):
        typer.echo(f"nothing runs on {home.root}; start it with `plaza up`", err=True)
        raise typer.Exit(4)
    if as_json:
        typer.echo(json.dumps(status, ensure_ascii=False, indent=1))
        return
    table = Table("process", "pid", "state", "restarts", "since (UTC)")
    for child in status["processes"]:
        since = datetime.fromtimestamp(child["since"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        pid = str(child["pid"] or "–")
        table.add_row(child["name"], pid, child["state"], str(child["restarts"]), since)
    console = Console()
    console.print(table)
    console.print(f"Address {status['url']}, log-in {status['issuer']}", highlight=False)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
