"""The commands of `promedical-bench` that say whether one oracle may follow another. The exit code is the answer."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from promedical_bench.options import SOME_FAILED, LeftOut, Moved, Responses, Seed, announce, expected_errors

_share = partial(typer.Option, min=0.0, max=1.0)

Reversed = Annotated[float, _share(help="Largest share of pairs whose order may be reversed.")]
Lifted = Annotated[float, _share(help="Largest share of responses whose veto may be lifted.")]
Vetoed = Annotated[float, _share(help="Largest share of responses that may be newly vetoed.")]
Correlation = Annotated[float, _share(help="Smallest correlation of advantages within groups.")]


@expected_errors()
def compare_two_oracles(  # noqa: PLR0913 - one parameter per option
    old: Annotated[Path, typer.Argument(help="Folder of a `quality` run with the current oracle.")],
    new: Annotated[Path, typer.Argument(help="Folder of a `quality` run of the same task with the new oracle.")],
    *,
    output: Annotated[Path, typer.Option(help="Folder for the report.")],
    data: Moved = None,
    responses: Responses = None,
    left_out: LeftOut = None,
    max_reversed: Reversed = 0.05,
    max_lifted: Lifted = 0.01,
    max_vetoed: Vetoed = 0.02,
    min_correlation: Correlation = 0.9,
    seed: Seed = 0,
) -> None:
    """Check whether a policy's training can move from one oracle to another."""
    from promedical_bench.evaluation.moving_over import ADVICE, Limits, MayMove  # noqa: PLC0415
    from promedical_bench.oracles import compare_oracles  # noqa: PLC0415

    limits = Limits(
        reversed_pairs=max_reversed,
        vetoes_lifted=max_lifted,
        vetoes_added=max_vetoed,
        advantage_correlation=min_correlation,
    )
    content, answer = compare_oracles(
        old, new, output, limits=limits, data=data, responses=responses, left_out=left_out or (), seed=seed
    )
    announce(content, output)
    typer.echo(f"promedical-bench: {ADVICE[answer]}", err=True)
    if answer is not MayMove.YES:
        raise typer.Exit(SOME_FAILED)


@expected_errors()
def compare_candidate(
    files: Annotated[list[Path], typer.Argument(help="What `shadow_file` of the service's replicas wrote.")],
    *,
    output: Annotated[Path, typer.Option(help="Folder for the report.")],
    max_reversed: Reversed = 0.05,
    max_lifted: Lifted = 0.01,
    max_vetoed: Vetoed = 0.02,
    min_correlation: Correlation = 0.9,
    min_agreement: Annotated[
        float, _share(help="Smallest share of verdicts that agree, if items had one response.")
    ] = 0.95,
    max_unscored: Annotated[float, _share(help="Largest share of responses that only the live oracle scores.")] = 0.01,
    seed: Seed = 0,
) -> None:
    """Check whether a candidate that scored a share of the live requests too can be promoted."""
    from promedical_bench.evaluation.moving_over import Limits, MayMove  # noqa: PLC0415
    from promedical_bench.reports.shadow_report import ADVICE  # noqa: PLC0415
    from promedical_bench.shadows import compare_shadow  # noqa: PLC0415

    limits = Limits(
        reversed_pairs=max_reversed,
        vetoes_lifted=max_lifted,
        vetoes_added=max_vetoed,
        advantage_correlation=min_correlation,
        agreement=min_agreement,
        newly_unscored=max_unscored,
    )
    content, answer = compare_shadow(files, output, limits=limits, seed=seed)
    announce(content, output)
    typer.echo(f"promedical-bench: {ADVICE[answer]}", err=True)
    if answer is not MayMove.YES:
        raise typer.Exit(SOME_FAILED)
