"""`promedical doctor`: reaches a service, looks at it, and says whether its oracle can judge by a rubric."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical import messages as m
from promedical_client.address import Address
from promedical_client.cli.checkup import Finding, findings_of
from promedical_client.cli.exam import Exam
from promedical_client.cli.options import Format, Output, TimeoutS, takes_address
from promedical_client.cli.output import check_standard_output, printed
from promedical_client.cli.session import expected_errors, opened, progress
from promedical_client.errors import PromedicalError

if TYPE_CHECKING:
    from promedical_client.sync import Client

EXIT_CODES: Final = (
    "Exit codes: 0: this oracle can judge by this rubric; 1: it cannot; 2: bad usage or bad input; 3: the service "
    "cannot be reached, or refused to answer."
)
_CANNOT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that was found.

    Attributes:
        can_judge: Whether this oracle can judge by this rubric.
        doubts: Why it cannot.
        way: The way to the service.
        model: What the oracle is.
        rubric: What was judged by.
        never_separate: Criteria whose verdicts never speak for a good answer against its harmful one.
        veto_everything: Safety criteria that every good answer violates.
        exam: What it said of the cases.
    """

    can_judge: bool
    doubts: tuple[str, ...]
    way: tuple[Finding, ...]
    model: m.ModelInfo
    rubric: str
    never_separate: tuple[str, ...]
    veto_everything: tuple[str, ...]
    exam: Exam


@expected_errors()
@takes_address()
def doctor(
    *,
    address: Address,
    rubric: Annotated[
        str, typer.Option(help="A rubric file, such as mine@1.json, or the name of a rubric of the service.")
    ] = "general-medical",
    output: Output = Format.TABLE,
    timeout_s: TimeoutS = 300.0,
) -> None:
    """Check a service, and whether its oracle judges a dozen obvious cases correctly by a rubric."""
    from promedical_client.jsonl import to_json  # noqa: PLC0415 - see `session.opened`

    check_standard_output()
    way = findings_of(address)
    try:
        with opened(address, timeout_s) as client:
            diagnosis = _diagnosed(client, way, rubric)
    except PromedicalError:
        _show_way(way)
        raise
    with printed(diagnosis):
        if output is Format.JSONL:
            typer.echo(to_json(diagnosis))
        else:
            _print(diagnosis)
    raise typer.Exit(0 if diagnosis.can_judge else _CANNOT)


def _diagnosed(client: "Client", way: list[Finding], name: str) -> Diagnosis:
    from promedical_client.cli.blatant import items_of_cases  # noqa: PLC0415 - see `session.opened`
    from promedical_client.cli.exam import examined  # noqa: PLC0415
    from promedical_client.cli.rubrics import criterion_tokens, rubric_named, spec_of  # noqa: PLC0415

    began = time.monotonic()
    model = client.model()
    said = f"{model.model.name} answered in {(time.monotonic() - began) * 1e3:,.0f} ms"
    rubric = rubric_named(name, client)
    with progress("judging a dozen cases") as on_progress:
        answer = client.score(items_of_cases(spec_of(rubric)), on_progress=on_progress)
    tokens = criterion_tokens(client, rubric)
    exam = examined(rubric, answer.items, tokens, fake=model.status == "fake")
    return Diagnosis(
        can_judge=not exam.doubts,
        doubts=exam.doubts,
        way=(Finding(about="service", mark="ok", said=said), *way, _mode(model)),
        model=model,
        rubric=name,
        never_separate=exam.never_separate,
        veto_everything=exam.veto_everything,
        exam=exam,
    )


def _mode(model: m.ModelInfo) -> Finding:
    said = f"{model.status}; rewards are in hard mode unless a caller asks for the soft one"
    return Finding(about="mode", mark="ok" if model.status == "trained" else "look", said=said)


def _show_way(way: list[Finding]) -> None:
    for each in way:
        typer.echo(f"{each.about}: {each.said}", err=True)


def _print(diagnosis: Diagnosis) -> None:
    from rich.console import Console  # noqa: PLC0415 - see `session.opened`

    from promedical_client.cli.tables import exam_table, model_table, way_table  # noqa: PLC0415
    from promedical_client.cli.verdict_tables import FAKE  # noqa: PLC0415

    console = Console()
    console.print(way_table(diagnosis.way), model_table(diagnosis.model), sep="\n")
    if diagnosis.exam.fake:
        console.print(FAKE)
    console.print(exam_table(diagnosis.rubric, diagnosis.exam))
    for line in _lines(diagnosis):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines(diagnosis: Diagnosis) -> list[str]:
    exam = diagnosis.exam
    total = sum(each.tokens for each in exam.criteria) or 1
    costs = ", ".join(f"{each.id} {each.tokens} ({each.tokens / total:.0%})" for each in exam.costliest(3))
    verdict = "CAN" if diagnosis.can_judge else "CANNOT"
    why = f": {'; '.join(diagnosis.doubts)}" if diagnosis.doubts else ""
    vetoed = f"{exam.good_vetoed} good answers, {exam.harmful_vetoed} harmful ones"
    return [
        f"good answer first: {exam.right} of {exam.cases}; vetoed: {vetoed}",
        f"never separate good from harmful: {', '.join(diagnosis.never_separate) or 'none'}",
        f"veto every good answer: {', '.join(diagnosis.veto_everything) or 'none'}",
        f"most tokens per answer: {costs}",
        f"this oracle {verdict} judge by {diagnosis.rubric}{why}",
    ]
