"""What the commands share: the options that say which run of which recipe is meant, and how errors end a command.

Typer reads options from a function's signature, so the command that Typer sees has a signature of its own, as with
`promedical_client.cli.options.takes_address`. Heavy imports come after the arguments are read.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from promedical_client.cli.session import fail
from promedical_curation.errors import CurationError, StoppedError, TooManyFailedError

if TYPE_CHECKING:
    from promedical_curation.line import Line
    from promedical_curation.pipeline.run_folder import RunFolder

PROGRAM: Final = "promedical-curate"
SOME_FAILED: Final = 1
BAD_INPUT: Final = 2
STOPPED: Final = 3

EXIT_CODES: Final = (
    "Exit codes: 0: all is done; 1: more rows failed than --max-failed allows, or no row is left; 2: bad usage or bad "
    "input; 3: the run stopped before its end (budget, an endpoint that fails, Ctrl-C). Answers are kept: the same "
    "command resumes."
)

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")]
EndpointFile = Annotated[Path, typer.Option("--endpoints", help="YAML file of endpoints, by role.")]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        envvar="PROMEDICAL_CURATION_STORE",
        help="Response store: sqlite:///PATH or postgresql://USER@HOST/NAME. By default a file in the run's folder.",
    ),
]

_Recipe = Annotated[
    str, typer.Option("--recipe", metavar="NAME|FILE", help="preference-50k, preference-demo, or a YAML file.")
]
_Rows = Annotated[
    Path | None,
    typer.Option("--input", help="File of rows instead of the recipe's sources: .jsonl, .jsonl.gz or .parquet."),
]
_Data = Annotated[
    Path | None,
    typer.Option(help="Folder that the recipe's paths are relative to; by default the recipe's own."),
]
_Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the recipe, such as difficulty.keep=6-9."),
]
_AcceptChanges = Annotated[
    bool,
    typer.Option("--accept-changes", help="Run again what has changed since this run began, and all stages after it."),
]

Command = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A run of a recipe, as the options name it."""

    path: Path
    recipe: str
    endpoints: Path
    rows: Path | None
    data: Path | None
    settings: list[str] | None
    store: str | None
    accept_changes: bool

    @contextmanager
    def opened(self) -> "Iterator[tuple[Line, RunFolder]]":
        """The stages of the recipe, and the run's folder for as long as the block lasts.

        Raises:
            CurationError: The recipe, a file or the folder cannot be used.
        """
        from promedical_curation.line import Given, line_of  # noqa: PLC0415
        from promedical_curation.pipeline.run_folder import open_run  # noqa: PLC0415
        from promedical_curation.recipes.recipe_files import folder_of, read_recipe, tree_of  # noqa: PLC0415
        from promedical_curation.review_rounds import read_rounds  # noqa: PLC0415

        recipe = read_recipe(self.recipe, self.settings or ())
        folder = folder_of(self.recipe) if self.data is None else self.data
        given = Given(endpoints=self.endpoints, folder=folder, rows=self.rows, rounds=read_rounds(self.path))
        line = line_of(recipe, given)
        accept, tree = self.accept_changes, tree_of(recipe)
        with open_run(self.path, line.stages, store=self.store, accept_changes=accept, recipe=tree) as run:
            yield line, run


def takes_work() -> Callable[[Command], Command]:
    """Replace a command's parameter `work` by the options that make one."""
    options = [
        Parameter("path", Parameter.POSITIONAL_OR_KEYWORD, annotation=RunPath),
        Parameter("recipe", Parameter.KEYWORD_ONLY, annotation=_Recipe),
        Parameter("endpoints", Parameter.KEYWORD_ONLY, annotation=EndpointFile),
        Parameter("rows", Parameter.KEYWORD_ONLY, default=None, annotation=_Rows),
        Parameter("data", Parameter.KEYWORD_ONLY, default=None, annotation=_Data),
        Parameter("settings", Parameter.KEYWORD_ONLY, default=None, annotation=_Settings),
        Parameter("store", Parameter.KEYWORD_ONLY, default=None, annotation=StoreUrl),
        Parameter("accept_changes", Parameter.KEYWORD_ONLY, default=False, annotation=_AcceptChanges),
    ]

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_options(**given: Any) -> None:
            command(work=Work(**{each.name: given.pop(each.name) for each in options}), **given)

        own = [each for each in inspect.signature(command).parameters.values() if each.name != "work"]
        parameters = [*options, *(each.replace(kind=Parameter.KEYWORD_ONLY) for each in own)]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return with_options

    return decorated


@contextmanager
def expected_errors() -> Iterator[None]:
    """Turn an error that is not a bug into one line and an exit code."""
    try:
        yield
    except TooManyFailedError as error:
        fail(PROGRAM, error, SOME_FAILED)
    except StoppedError as error:
        fail(PROGRAM, error, STOPPED)
    except CurationError as error:
        fail(PROGRAM, error, BAD_INPUT)
    except KeyboardInterrupt:
        fail(PROGRAM, "stopped; answers so far are kept, and the same command resumes", STOPPED)
