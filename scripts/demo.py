"""`make demo`: start the real service with the embedded model, score medical answers over gRPC and REST, show them.

Without arguments it scores the examples of the package; `--data FILE` scores a file of items or of the criteria
format. Ends with an error if the engine failed on anything, or if the transports disagree.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

from rich.console import Console

from promedical.errors import ErrorCode
from promedical.messages import ModelInfo, ScoreItem, ScoreResponse
from promedical_client import Client
from promedical_client.cli.tables import item_tables, model_table
from promedical_client.jsonl import InputError, read_items

EXAMPLES = resources.files("promedical_client") / "examples" / "medical_answers.jsonl"
TOLERANCE = 1e-3
"""Two passes may differ in their last bits, and that by one step of the rounded logits, 0.001."""
TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that is ready."""

    rest_url: str
    grpc_url: str


def main() -> int:
    """Run the demo; returns the exit code."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        items = read_items(options.data or str(EXAMPLES), limit=options.limit)
    except InputError as error:
        raise SystemExit(f"demo: {error}") from None
    with running_service(console, ["--engine", options.engine, "--model", options.model]) as service:
        with Client(service.grpc_url, timeout_s=TIMEOUT_S) as client:
            info, over_grpc = client.model(), _score(console, client, items, "gRPC")
        with Client(service.rest_url, timeout_s=TIMEOUT_S) as client:
            over_rest = _score(console, client, items, "REST")
    _show(console, info, over_grpc)
    return _verdict(console, over_grpc, over_rest)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="JSON lines of items or of the criteria format, may end in .gz")
    parser.add_argument("--limit", type=int, default=8, help="items to score (default: 8)")
    parser.add_argument("--model", default="default", help="bundle to serve")
    parser.add_argument("--engine", default="torch", help="torch or fake")
    return parser.parse_args()


@contextmanager
def running_service(console: Console, flags: Sequence[str]) -> Iterator[Service]:
    """`promedical-serve` on free ports, until the block ends."""
    command = [sys.executable, "-m", "promedical_service", "--rest-port", "0", "--grpc-port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        with console.status("starting the service (the first time, fetching and converting the model: a minute)"):
            service = _until_ready(process)
        console.print(f"service ready: {service.grpc_url} and {service.rest_url}")
        yield service
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _until_ready(process: "subprocess.Popen[str]") -> Service:
    """Read the log until the service says that it is ready.

    Raises:
        SystemExit: It ended instead; its last lines are shown.
    """
    lines: list[str] = []
    ports: dict[str, int] = {}
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("event") == "listening":
            ports = event
        if event.get("event") == "ready":
            return Service(
                rest_url=f"http://127.0.0.1:{ports['rest_port']}", grpc_url=f"grpc://127.0.0.1:{ports['grpc_port']}"
            )
    raise SystemExit("the service did not start:\n" + "".join(lines[-20:]))


def _score(console: Console, client: Client, items: Sequence[ScoreItem], transport: str) -> ScoreResponse:
    with console.status(f"scoring {len(items)} items over {transport}"):
        response = client.score(items)
    usage, engine_s = response.usage, response.timings_ms.engine / 1e3
    console.print(
        f"{transport}: {usage.criteria_scored} criteria of {usage.responses_scored} responses in {engine_s:.1f} s; "
        f"{usage.tokens_computed:,} tokens computed where one pass per criterion takes {usage.tokens_flat:,}"
    )
    return response


def _show(console: Console, info: ModelInfo, response: ScoreResponse) -> None:
    for outcome in response.items:
        for table in item_tables(outcome):
            console.print(table)
        if outcome.result is not None:
            order = " > ".join(" = ".join(map(str, group)) for group in outcome.result.ranking)
            console.print(f"ranking: {order}\n")
    console.print(model_table(info))
    if info.status != "trained":
        console.print(f"[bold yellow]This model is {info.status}: {info.description}.[/]")


def _verdict(console: Console, over_grpc: ScoreResponse, over_rest: ScoreResponse) -> int:
    """0 if something was scored, the engine failed on nothing, and both transports say the same."""
    failed = sum(_failures(response) for response in (over_grpc, over_rest))
    if failed:
        console.print(f"[bold red]the engine failed on {failed} responses[/]")
        return 1
    pairs = list(zip(_numbers(over_grpc), _numbers(over_rest), strict=True))
    worst = max((abs(a - b) for a, b in pairs), default=None)
    if worst is None or worst > TOLERANCE:
        console.print(f"[bold red]gRPC and REST differ by {worst}[/]")
        return 1
    console.print(
        f"[green]gRPC and REST agree on all {len(pairs)} numbers within {TOLERANCE:g} (largest difference {worst:g})[/]"
    )
    return 0


def _failures(response: ScoreResponse) -> int:
    errors = [r.error for o in response.items if o.result for r in o.result.responses if r.error]
    return sum(error.code is ErrorCode.ENGINE_FAILURE for error in errors)


def _numbers(response: ScoreResponse) -> list[float]:
    scores = [r.scores for o in response.items if o.result for r in o.result.responses if r.scores]
    return [number for s in scores for number in (s.reward, *(c.probability for c in s.criteria))]


if __name__ == "__main__":
    sys.exit(main())
