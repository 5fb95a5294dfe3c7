"""How a command reaches the database, and how it ends where that fails."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_client.cli.session import fail

if TYPE_CHECKING:
    from promedical_review.store.database import Database

BAD_INPUT: Final = 2

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
