"""The command `promedical-review`. Heavy imports come after the arguments are read."""

from contextlib import closing

import typer

from promedical_client.cli.program import run_program, takes_version
from promedical_review import commands, transfers
from promedical_review.opening import DatabaseUrl, expected_errors, opened, told
from promedical_review.serve import serve

app = typer.Typer(
    help="Physicians review rubrics and rate answers double-blind.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
takes_version(app)

db = typer.Typer(help="The tables of the database.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(commands.users, name="users")
app.add_typer(commands.rounds, name="rounds")
app.add_typer(commands.sets, name="sets")
app.add_typer(transfers.imports, name="import")
app.add_typer(transfers.exports, name="export")
app.command()(serve)


@db.command()
@expected_errors()
def upgrade(database: DatabaseUrl) -> None:
    """Bring the tables to this version. Make a backup first."""
    from promedical_review.store.database import Database  # noqa: PLC0415
    from promedical_review.store.migrating import upgrade as migrate  # noqa: PLC0415

    with closing(Database(told(database, "database"))) as opening:
        typer.echo(f"the database is at revision {migrate(opening)}")


@db.command()
@expected_errors()
def check(database: DatabaseUrl) -> None:
    """Check that the tables are of this version; the exit code is 2 if they are not."""
    with opened(database):
        typer.echo("the tables are of this version")


def main() -> None:
    """Run the command line."""
    run_program(app, "promedical-review", extra="review")
