"""What the commands of `promedical-bench` share: options, exit codes, and one line for an error that is not a bug."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_client.cli.session import fail

if TYPE_CHECKING:
    from promedical_bench.reports.content import Content

SOME_FAILED: Final = 1
BAD_INPUT: Final = 2
REFUSED: Final = 3
INTERRUPTED: Final = 130

EXIT_CODES: Final = (
    "Exit codes: 0: everything was scored; 1: some responses are missing, or were not scored or read, or compared runs "
    "differ in what they were asked; 2: bad usage or bad input; 3: the service cannot be reached, or refused to "
    "answer. Answers are kept: the same command resumes."
)
LOAD_CODES: Final = (
    "Exit codes: 0: every call was answered; 1: some calls failed, or none ended in time; 2: bad usage or bad input; "
    "3: the service cannot be reached, or refused to answer."
)
EXPORT_CODES: Final = "Exit codes: 0: the file is written; 2: bad usage or bad input."
KEPT: Final = "answers so far are kept, and the same command resumes"
NOT_KEPT: Final = "nothing was written"
TASKS: Final = "promedical, healthbench, healthbench-meta, rewardbench, ultramedical or kqa."

Responses = Annotated[
    Path | None,
    typer.Option(
        help="A policy's answers to judge: prompt_id, id or Question, and response, as JSON, CSV or Parquet; or what "
        "simple-evals or OpenAI's Batch API wrote."
    ),
]
PairCap = Annotated[int | None, typer.Option(min=1, help="Most pairs per prompt and criterion (only promedical).")]
LeftOut = Annotated[
    list[str] | None,
    typer.Option(
        "--without-criterion",
        metavar="ID",
        help="Leave out a criterion, as CRITERION or PROMPT/CRITERION; errata: those known to have the wrong sign. "
        "May be repeated (only promedical and healthbench).",
    ),
]
Moved = Annotated[Path | None, typer.Option(help="The task's data, if the file has moved.")]
Seed = Annotated[int, typer.Option(help="Seed of the bootstrap.")]


@contextmanager
def expected_errors(then: str = KEPT) -> Iterator[None]:
    """Turn an error that is not a bug into one line and an exit code; `then` says what to do about it."""
    from promedical_bench.evaluation.evaluate import NothingScoredError  # noqa: PLC0415
    from promedical_bench.scoring.record_file import ResultsError  # noqa: PLC0415
    from promedical_client import InvalidRequestError, NotFoundError, PromedicalError  # noqa: PLC0415
    from promedical_data.errors import DataError  # noqa: PLC0415

    try:
        yield
    except (DataError, ResultsError, InvalidRequestError, NotFoundError) as error:
        fail("promedical-bench", error, BAD_INPUT)
    except NothingScoredError as error:
        fail("promedical-bench", error, SOME_FAILED)
    except PromedicalError as error:
        fail("promedical-bench", f"{error}; {then}", REFUSED)
    except KeyboardInterrupt:
        fail("promedical-bench", f"stopped; {then}", INTERRUPTED)


def announce(content: "Content", output: Path) -> None:
    """Print a report's headlines, and where the report is."""
    for each in content.headlines:
        typer.echo(f"{each.label}: {each.value} {each.interval}".rstrip())
    typer.echo(f"report: {output / 'report.html'}", err=True)
