"""The `plaza` command."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .code_list import code_list
from .dataset import dataset
from .department import department
from .directory import directory
from .failures import Failure
from .ingest import ingest
from .login import login, logout
from .lookup import whoami
from .output import Output
from .quality import quality
from .quarantine import quarantine
from .release import release
from .rows import rows
from .run import run as run_group
from .source import source
from .source_system import source_system
from .surroundings import JsonOption, Surroundings, UrlOption, surroundings_of
from .verify import verify
from .work_order import work_order

_EPILOG = """\b
Exit codes:
  0    done
  1    refused, or failed at the server
  2    wrong use of the command
  3    not logged in
  4    not reachable
  5    verification failed
  130  ended by Ctrl-C

\b
Environment:
  PLAZA_URL         address of the Plaza (--url)
  PLAZA_CONFIG_DIR  where sessions and pinned keys are kept (default ~/.config/plaza)
"""


class PlazaGroup(TyperGroup):
    """Shows our failures, and turns them into exit codes; everything else is typer's."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Failure as failure:
            around = ctx.find_object(Surroundings)
            Output(as_json=around is not None and around.as_json).failure(failure)
            raise typer.Exit(int(failure.exit_code)) from failure


# No markup in help texts, and no traceback with the values of variables: tokens are among them.
app = typer.Typer(
    cls=PlazaGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
)


@app.callback()
def plaza_command(context: typer.Context, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Plaza, the city data platform: registers, loads, shares and opens data."""
    around = surroundings_of(context)
    around.url, around.as_json = url, as_json


app.command()(login)
app.command()(logout)
app.command()(whoami)
app.add_typer(department, name="department")
app.add_typer(dataset, name="dataset")
app.add_typer(directory, name="directory")
app.add_typer(source_system, name="source-system")
app.add_typer(source, name="source")
app.add_typer(code_list, name="code-list")
app.command()(ingest)
app.add_typer(run_group, name="run")
app.add_typer(quarantine, name="quarantine")
app.command()(rows)
app.add_typer(quality, name="quality")
app.add_typer(work_order, name="work-order")
app.add_typer(release, name="release")
app.command()(verify)


@app.command()
def up() -> None:
    """Start the whole suite on this machine."""
    # Loaded here alone: the other commands need no server code.
    from plaza_cli.up import run

    run()


@app.command()
def status(json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False) -> None:
    """Show how the suite on this machine fares."""
    from plaza_cli.status import show

    show(json)
