"""The command `promedical-bench gate`. Heavy imports come after the arguments."""

from pathlib import Path
from typing import Annotated

import typer

from promedical_bench.options import SOME_FAILED, announce, expected_errors
from promedical_client.address import Address
from promedical_client.cli.options import takes_address
from promedical_client.cli.session import progress


@expected_errors()
@takes_address()
def gate(
    *,
    data: Annotated[Path, typer.Option(help="Labelled answers to report on, such as the test split.")],
    output: Annotated[Path, typer.Option(help="Folder for answers and report; an interrupted run resumes.")],
    address: Address,
    drills: Annotated[Path | None, typer.Option(help="The test split of `promedical-train drills`.")] = None,
    physicians: Annotated[Path | None, typer.Option(help="Physicians' labels, which are reported.")] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(help="What a training run measured (evaluation.json), instead of asking about the data again."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask about LIMIT prompts of each file only.")] = None,
    in_flight: Annotated[int, typer.Option(min=1, help="Most calls in flight at the same time.")] = 8,
    timeout_s: Annotated[float, typer.Option(min=0.001, help="Seconds for one call, including retries.")] = 600.0,
) -> None:
    """Check line by line whether an oracle holds what a default model must hold; exit code 1 if it does not."""
    from promedical_bench.gate.run import GateRun, run_gate  # noqa: PLC0415
    from promedical_bench.scoring.runner import Pace  # noqa: PLC0415

    run = GateRun(
        address=address,
        output=output,
        criteria=data,
        drills=drills,
        physicians=physicians,
        evaluation=evaluation,
        limit=limit,
        pace=Pace(in_flight=in_flight, timeout_s=timeout_s),
    )
    content, lines = run_gate(run, progress)
    for row in content.main[0].rows:
        typer.echo("  ".join(part for part in row if part))
    announce(content, output)
    if not all(line.holds for line in lines):
        raise typer.Exit(SOME_FAILED)
