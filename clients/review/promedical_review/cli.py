"""The command `promedical-review`. Heavy imports come after the arguments are read."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_client.cli.program import run_program, takes_version
from promedical_client.cli.session import fail

if TYPE_CHECKING:
    from promedical_review.store.database import Database

BAD_INPUT: Final = 2

app = typer.Typer(
    help="Physicians review rubrics and rate answers double-blind.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
takes_version(app)

db = typer.Typer(help="The tables of the database.", no_args_is_help=True)
app.add_typer(db, name="db")

DatabaseUrl = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="PROMEDICAL_REVIEW_DATABASE",
        help="sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/NAME.",
    ),
]


@contextmanager
def expected_errors() -> Iterator[None]:
    """Turn an error that is not a bug into one line and an exit code."""
    from promedical_data.errors import DataError  # noqa: PLC0415
    from promedical_review.errors import ReviewError  # noqa: PLC0415

    try:
        yield
    except (DataError, ReviewError) as error:
        fail("promedical-review", error, BAD_INPUT)


@contextmanager
def opened(url: str) -> Iterator["Database"]:
    """The database at an address, which must be of this version."""
    from promedical_review.store.database import Database  # noqa: PLC0415
    from promedical_review.store.migrating import check_schema  # noqa: PLC0415

    with closing(Database(url)) as database:
        check_schema(database)
        yield database


@db.command()
@expected_errors()
def upgrade(database: DatabaseUrl) -> None:
    """Bring the tables to this version. Make a backup first."""
    from promedical_review.store.database import Database  # noqa: PLC0415
    from promedical_review.store.migrating import upgrade as migrate  # noqa: PLC0415

    with closing(Database(database)) as opening:
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
