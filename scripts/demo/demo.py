"""`make demo`: start the real service with the embedded model, score medical answers over gRPC and REST, show them.

Without arguments it scores the examples of the package; `--data FILE` scores a file of items or of the criteria
format. It ends with an error if the engine failed on anything, or if the transports disagree.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType

from promedical_client import Client, ErrorCode, ModelInfo, PromedicalError, ScoreItem, ScoreResponse
from promedical_client.jsonl import read_items
from promedical_data.errors import DataError
from promedical_data.files import output_file
from scripts.demo.report import LEGEND, WIDTH, limits, next_steps, question, title
from scripts.demo.running_service import busy, running_service

EXAMPLES: Final = resources.files("promedical_client") / "examples" / "medical_answers.jsonl"
KEPT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "demo.txt"
TOLERANCE: Final = 0.001
"""The largest difference of logits: two passes may differ in their last bits, which can change the rounded digit."""
TIMEOUT_S: Final = 900.0
ATTEMPTS: Final = 3
"""Few attempts, since a service that we started ourselves does not come back."""
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The same items, scored over both transports."""

    info: ModelInfo
    over_grpc: ScoreResponse
    over_rest: ScoreResponse


def main() -> int:
    """Run the demo; return the exit code."""
    options = _options()
    console = Console(width=min(WIDTH, Console().width), highlight=False)
    started = time.monotonic()
    try:
        items = read_items(options.data or str(EXAMPLES), limit=options.limit)
        scored = _scored(console, items, ["--engine", options.engine, "--model", options.model])
    except (DataError, PromedicalError) as error:
        raise SystemExit(f"demo: {error}") from None
    except KeyboardInterrupt:
        return INTERRUPTED
    problem = disagreement(scored.over_grpc, scored.over_rest)
    page = list(_page(items, scored, chosen=not options.data))
    console.print(*page, sep="\n")
    if problem:
        console.print(f"[bold red]{problem}[/]")
        return 1
    if options.write:
        _keep(page)
    console.print(f"Done in {time.monotonic() - started:.0f} s.")
    return 0


def disagreement(over_grpc: ScoreResponse, over_rest: ScoreResponse) -> str | None:
    """What is wrong with the two answers: the engine failed, nothing was scored, or the answers differ."""
    errors, others = _errors(over_grpc), _errors(over_rest)
    failed = [*errors.values(), *others.values()].count(ErrorCode.ENGINE_FAILURE)
    if failed:
        return f"The engine failed on {failed} answers."
    logits, other_logits = _logits(over_grpc), _logits(over_rest)
    if not logits:
        return "Nothing was scored."
    if errors != others or logits.keys() != other_logits.keys():
        return "gRPC and REST did not score the same answers."
    worst = max(abs(logit - other_logits[key]) for key, logit in logits.items())
    return f"gRPC and REST differ by up to {worst:.3f} in a logit." if round(worst, 6) > TOLERANCE else None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FILE", help="what `promedical score` reads")
    parser.add_argument("--limit", type=_positive, default=8, help="items to score (default: %(default)s)")
    parser.add_argument("--model", default="default", help="bundle to serve")
    parser.add_argument("--engine", default="torch", choices=("torch", "vllm", "fake"))
    parser.add_argument("--write", action="store_true", help="keep the output in docs/results/demo.txt, without times")
    options = parser.parse_args()
    if options.write and options != parser.parse_args(["--write"]):
        parser.error("--write keeps the examples of the package with the default model; leave out the other options")
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _scored(console: Console, items: Sequence[ScoreItem], flags: Sequence[str]) -> Scored:
    began = time.monotonic()
    with running_service(console, flags) as service:
        console.print(f"The service is ready after {time.monotonic() - began:.0f} s.")
        with Client(service.grpc_url, timeout_s=TIMEOUT_S, max_attempts=ATTEMPTS) as client:
            info, over_grpc = client.model(), _score(console, client, items, "gRPC")
        with Client(service.rest_url, timeout_s=TIMEOUT_S, max_attempts=ATTEMPTS) as client:
            over_rest = _score(console, client, items, "REST")
    return Scored(info=info, over_grpc=over_grpc, over_rest=over_rest)


def _score(console: Console, client: Client, items: Sequence[ScoreItem], transport: str) -> ScoreResponse:
    began = time.monotonic()
    with busy(console, f"Scoring over {transport}"):
        response = client.score(items)
    scored, asked = response.usage.responses_scored, sum(len(item.responses) for item in items)
    console.print(f"Scored over {transport}: {scored} of {asked} answers in {time.monotonic() - began:.0f} s.")
    return response


def _page(items: Sequence[ScoreItem], scored: Scored, *, chosen: bool) -> Iterator[RenderableType]:
    """The part of the output that is kept: nothing in it depends on the machine."""
    yield ""
    yield title()
    yield ""
    for number, (item, outcome) in enumerate(zip(items, scored.over_grpc.items, strict=True), start=1):
        yield from question(number, len(items), item, outcome)
    yield LEGEND
    yield ""
    if disagreement(scored.over_grpc, scored.over_rest) is None:
        count = len(_logits(scored.over_grpc))
        yield f"gRPC and REST agree: all {count} logits are the same within {TOLERANCE:g}."
    yield from limits(scored.info, scored.over_grpc, chosen=chosen)
    yield ""
    yield next_steps()


def _keep(page: Sequence[RenderableType]) -> None:
    text = StringIO()
    Console(file=text, width=WIDTH, highlight=False).print(*page, sep="\n")
    KEPT.parent.mkdir(exist_ok=True)
    with output_file(KEPT) as stream:
        stream.writelines(f"{line.rstrip()}\n" for line in text.getvalue().strip().splitlines())


def _errors(response: ScoreResponse) -> dict[tuple[str, int], ErrorCode]:
    """The outcomes by item and response; -1 stands for the item as a whole."""
    of_items = {(o.id, -1): o.error.code for o in response.items if o.error}
    return of_items | {
        (o.id, index): r.error.code
        for o in response.items
        if o.result
        for index, r in enumerate(o.result.responses)
        if r.error
    }


def _logits(response: ScoreResponse) -> dict[tuple[str, int, str], float]:
    return {
        (o.id, index, criterion.id): criterion.logit
        for o in response.items
        if o.result
        for index, r in enumerate(o.result.responses)
        if r.scores
        for criterion in r.scores.criteria
    }


if __name__ == "__main__":
    sys.exit(main())
