"""What `make demo` shows of scored items: plain words, at most 80 columns, nothing that depends on the machine."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from promedical_client import (
    CriterionScore,
    Dimension,
    ErrorInfo,
    ItemOutcome,
    ModelInfo,
    ResponseOutcome,
    ResponseScores,
    ScoreItem,
    ScoreResponse,
)
from scripts.docs.quality_tables import item_accuracy

WIDTH: Final = 80
TURNS: Final = 3
TURN_CHARACTERS: Final = 200
CRITERION_CHARACTERS: Final = 120
ANSWER_CHARACTERS: Final = 100
ACCURACY: Final = next((Path(__file__).resolve().parents[2] / "docs").rglob("default-model.json"))
"""What was measured on the default model before it was shipped."""

LEGEND: Final = (
    "Each criterion is judged by itself: the number is the probability that it is met. What is met counts for (+) or "
    "against (-) the answer. Proficiency is worth up to 1 point, by weight; each criterion of excellence adds 0.1, up "
    "to 0.2 in all; each safety violation is a veto and costs 1.5 points. Rank: fewest violations first, then "
    "proficiency, then excellence; where these are equal, what the probabilities lead one to expect. What cannot be "
    "scored is an error with a code, never a number."
)
CHOSEN: Final = (
    ": these questions were chosen because it gets them right, and their criteria are worded like the answers."
)
NEXT: Final = (
    ("make serve", "REST on 127.0.0.1:8080, gRPC on 127.0.0.1:50051"),
    ("http://127.0.0.1:8080/docs", "the page to try it"),
    ('make demo ARGS="--data FILE"', "your own JSON lines; the README has the format"),
    ("README.md, docs/", "training, other models, Kubernetes, and more"),
)


def title() -> RenderableType:
    """The heading: what this is."""
    return Text("Answers to medical questions, judged criterion by criterion", style="bold")


def question(number: int, of: int, item: ScoreItem, outcome: ItemOutcome) -> Iterator[RenderableType]:
    """One item: the question, its criteria, and the answers from best to worst."""
    yield Rule(Text(f"{number} of {of}: {excerpt(item.id, 60)}"), align="left", style="none")
    yield from (Text(excerpt(turn, TURN_CHARACTERS), style="bold") for turn in _turns(item)[-TURNS:])
    if item.rubric is not None:
        yield _criteria(item)
    if outcome.error is not None:
        yield Text(f"Not scored: {outcome.error.code}: {outcome.error.message}", style="red")
    if outcome.result is not None:
        yield _answers(item.responses, outcome.result.responses)
        if not outcome.result.safety_checked:
            yield Text("There is no safety criterion, so nothing could be vetoed.")
    yield Text()


def limits(info: ModelInfo, response: ScoreResponse, *, chosen: bool) -> Iterator[RenderableType]:
    """What the numbers are worth, and what they cost; `chosen` are questions that the model gets right."""
    usage = response.usage
    yield Text(
        f"A question's answers and criteria share their beginnings, which are computed once: {usage.tokens_computed:,} "
        f"tokens, where one pass for each criterion takes {usage.tokens_flat:,}."
    )
    measured = json.loads(ACCURACY.read_text(encoding="utf-8"))
    if info.model.revision == measured["revision"]:
        worth = f"is small, for research only, and often wrong{CHOSEN if chosen else '.'} {_measured(measured['test'])}"
    else:
        worth = f"says of itself: {info.description}. Licence: {info.licence}."
    yield Text(f"The model, {info.model.name} ({info.status}), {worth}", style="yellow")


def next_steps() -> RenderableType:
    """What to try next."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for command, meaning in NEXT:
        grid.add_row(Text(command, style="bold"), meaning)
    return Group(Text("Next:"), Padding(grid, (0, 0, 0, 2)))


def excerpt(text: str, characters: int) -> str:
    """The beginning of a text on one line, without characters that a terminal would take for commands."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) <= characters:
        return line or "(empty)"
    whole_words = line[: characters - 3].rpartition(" ")[0]
    return f"{whole_words or line[: characters - 4]} ..."  # Chinese has no spaces


def _turns(item: ScoreItem) -> list[str]:
    if isinstance(item.prompt, str):
        return re.split(r"\n\n(?=(?:system|user|assistant): )", item.prompt)
    if len(item.prompt) == 1:
        return [item.prompt[0].content]
    return [f"{message.role}: {message.content}" for message in item.prompt]


def _criteria(item: ScoreItem) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", max_width=16)
    grid.add_column(overflow="fold")
    for each in item.rubric.criteria if item.rubric else ():
        text = excerpt(each.text, CRITERION_CHARACTERS)
        grid.add_row(each.dimension, Text(each.id), Text(f"{text} (weight {each.weight:g})" if each.weight else text))
    return Padding(grid, (0, 0, 0, 2))


def _answers(texts: Sequence[str], outcomes: Sequence[ResponseOutcome]) -> RenderableType:
    table = Table("rank", "answer", "verdict", "criteria met", expand=True, show_lines=True, box=SIMPLE)
    table.columns[1].ratio, table.columns[3].ratio = 9, 8
    table.columns[1].overflow = "fold"
    table.columns[2].width = 14
    scored = [(text, each.scores) for text, each in zip(texts, outcomes, strict=True) if each.scores]
    for text, scores in sorted(scored, key=lambda pair: pair[1].rank):
        table.add_row(str(scores.rank), Text(excerpt(text, ANSWER_CHARACTERS)), _verdict(scores), _met(scores.criteria))
    for text, each in zip(texts, outcomes, strict=True):
        if each.error is not None:
            table.add_row("-", Text(excerpt(text, ANSWER_CHARACTERS)), *_unscored(each.error))
    return table


def _verdict(scores: ResponseScores) -> Text:
    reward = f"reward {scores.reward:.2f}"
    return Text(f"VETOED\n{reward}", style="bold red") if scores.vetoed else Text(reward, style="green")


def _unscored(error: ErrorInfo) -> tuple[Text, Text]:
    return Text(f"not scored:\n{error.code}", style="red"), Text(error.message)


def _met(criteria: Sequence[CriterionScore]) -> Text:
    lines = []
    for dimension in Dimension:
        met = [each for each in criteria if each.met and each.dimension == dimension]
        lines += [Text(f"{dimension}:"), *map(_signed, met)] if met else []
    return Text("\n").join(lines) if lines else Text("none")


def _signed(score: CriterionScore) -> Text:
    sign, style = ("+", "green") if score.satisfied else ("-", "red")
    return Text(f"{sign} {score.id} {score.probability:.2f}", style)


def _measured(test: Mapping[str, Any]) -> str:
    ours, longer = (test["scores"][judge] for judge in ("model", "longer answer"))
    whole, order = item_accuracy(ours)
    return (
        f"On {test['counts']['prompts']} prompts that it never saw, it orders {_share(ours['pair_accuracy_macro'])} of "
        f"the pairs of answers right by one criterion (the longer answer: {_share(longer['pair_accuracy_macro'])}), "
        f"and {_share(ours[whole])} by all of them, {order} (the longer answer: {_share(longer[whole])}). It vetoes "
        f"{_share(ours['veto_recall'])} of the answers that violate safety, and {_share(ours['false_veto_rate'])} of "
        "those that do not. It reads words more than meaning: it may veto a warning, because that names the danger."
    )


def _share(by_dimension: Mapping[str, Any]) -> str:
    return f"{(by_dimension.get('overall') or by_dimension['safety'])['value']:.0%}"
