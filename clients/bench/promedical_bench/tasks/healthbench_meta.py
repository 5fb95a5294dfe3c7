"""Task `healthbench-meta`: the oracle as a grader, against every single physician (arXiv 2505.08775).

    {"prompt_id", "completion_id"?, "prompt": messages, "completion": text, "rubric": one criterion,
     "category"?: kind of the criterion, "binary_labels": [true | false, one per physician]}

The criteria format with votes is read too; the physicians' labels of K-QA have it. Balanced F1 is the mean of the F1
of "met" and the F1 of "not met". It is computed once over all physician labels together (the publisher's number), and
once as the mean over kinds of criteria. Physicians are compared with each other too, each against the others.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension
from promedical_bench.answers import Answers, controls_beside
from promedical_bench.cases import Case
from promedical_bench.tasks.promedical import case_of, predictions_of, scored
from promedical_bench.tasks.task import Facts, by_group, facts_of, id_of, shortened
from promedical_data.formats import conversations
from promedical_data.formats import criteria as criteria_format
from promedical_data.formats.content import content_of
from promedical_data.formats.lines import usable
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.measures import agreement, metrics
from promedical_data.measures.evaluation import OVERALL, Tallies
from promedical_data.measures.metrics import Metric
from promedical_data.measures.predictions import table, vote_table
from promedical_data.measures.tallies import NOTHING, Tally
from promedical_data.publishers.healthbench_meta import meta_row
from promedical_data.skips import Place, SkipLog

POOLED: Final = "balanced_f1"
BY_KIND: Final = "balanced_f1_by_kind"
PHYSICIANS: Final = "physicians"

_EXPECTED: Final = "records of completion, rubric and binary_labels, or prompts with criteria and raters' votes"
_REFERENCES: Final = (
    "On the data of HealthBench, GPT-4.1 as grader has about .71 and physicians have .65 (arXiv 2505.08775).",
    "Physicians agree with each other at a kappa of .41 to .76 on comparable data.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """One row: what physicians said about one completion and one criterion."""

    prompt: str
    completion: str
    turns: tuple[Message, ...]
    text: str
    rubric: str
    kind: str
    votes: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthBenchMeta:
    """The task with its records. `kinds` names the kind of each criterion (prompt id, criterion id)."""

    name: ClassVar[str] = "healthbench-meta"
    title: ClassVar[str] = "Grading like physicians: the oracle against each physician"
    headline: ClassVar[str] = BY_KIND
    chance: ClassVar[float | None] = None
    titles: ClassVar[Mapping[str, str]] = {
        BY_KIND: "Balanced F1 against single physicians, mean over kinds of criteria",
        POOLED: "Balanced F1 against single physicians, all labels together",
        "precision": "Precision of met",
        "recall": "Recall of met",
    } | agreement.TITLES

    main: ClassVar[tuple[str, ...]] = (BY_KIND, POOLED)
    of_one_response: ClassVar[Collection[str]] = (BY_KIND, POOLED, "precision", "recall")
    of_policy: ClassVar[bool] = False

    prompts: tuple[LabelledPrompt, ...]
    clusters: Mapping[str, str]
    kinds: Mapping[tuple[str, str], str]
    facts: Facts

    @property
    def cases(self) -> Sequence[Case]:
        return [replace(case_of(prompt), cluster=self.clusters[prompt.id]) for prompt in self.prompts]

    def limited(self, cases: int) -> "HealthBenchMeta":
        facts = shortened(self.facts, cases, len(self.prompts))
        return replace(self, prompts=self.prompts[:cases], facts=facts)

    def tallies(self, answers: Answers) -> Tallies:
        """The oracle against each vote, over all and by kind of criterion."""
        votes = self._named(vote_table(scored(self.prompts, answers), predictions_of(self.prompts, answers)))
        return _measured(votes)

    def controls(self, answers: Answers) -> Mapping[str, Tallies]:
        """The controls "the longer answer wins" and "majority", and each physician against the others."""
        beside = controls_beside(answers, self.cases, self.labels(answers))
        found = {name: self.tallies(said) for name, said in beside.items()}
        pairs = self._physicians(answers)
        return found if pairs.empty else found | {PHYSICIANS: _measured(pairs) | self._among(pairs, answers)}

    def agreement(self, answers: Answers) -> Tallies:
        """The agreement of the oracle's verdict with each vote."""
        votes = vote_table(scored(self.prompts, answers), predictions_of(self.prompts, answers))
        return _agreeing(self._named(votes))

    def labels(self, answers: Answers) -> pd.DataFrame:
        """One row per criterion and scored completion; the label is the majority of the votes."""
        return self._named(table(scored(self.prompts, answers), predictions_of(self.prompts, answers)))

    def _physicians(self, answers: Answers) -> pd.DataFrame:
        """Every ordered pair of votes on one criterion; one physician's vote is taken as the prediction."""
        rows = [
            (prompt.id, criterion, str(prompt.criterion_by_id[criterion].dimension), vote, said)
            for prompt in scored(self.prompts, answers)
            for response in prompt.responses
            for criterion, label in response.labels.items()
            for said, vote in permutations(label.votes, 2)
        ]
        return self._named(pd.DataFrame(rows, columns=["prompt", "criterion", "dimension", "met", "predicted"]))

    def _among(self, pairs: pd.DataFrame, answers: Answers) -> Tallies:
        """The agreement among physicians; alpha is computed over all raters of a completion at once."""
        units = [
            (self.clusters[prompt.id], sum(label.votes), len(label.votes))
            for prompt in scored(self.prompts, answers)
            for response in prompt.responses
            for label in response.labels.values()
            if len(label.votes) > 1
        ]
        alpha = agreement.votes_alpha(pd.DataFrame(units, columns=["prompt", "met", "raters"]))
        return _agreeing(pairs) | {"krippendorff_alpha": {OVERALL: alpha}}

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """With the kind of criterion in place of its id, and the prompt in place of the completion."""
        kinds = [self.kinds[key] for key in zip(frame["prompt"], frame["criterion"], strict=True)]
        return frame.assign(criterion=kinds, wording=kinds, prompt=frame["prompt"].map(self.clusters))


def load(path: Path) -> HealthBenchMeta:
    """Read the task.

    Raises:
        DataError: The file cannot be used.
    """
    content, log = content_of(path, _EXPECTED), SkipLog()
    found = usable(content, lambda raw, place: _row(raw, place, content.source), log, _EXPECTED, key=_prompt_of)
    records = [entry for entry in found if isinstance(entry, _Record)]
    prompts = [entry for entry in found if isinstance(entry, LabelledPrompt)]
    grouped = list(_grouped(records))
    kinds = {key: kind for _, _, named in grouped for key, kind in named.items()}
    kinds |= {(p.id, c.id): f"{c.dimension}, {c.polarity}" for p in prompts for c in p.criteria}
    return HealthBenchMeta(
        prompts=(*(prompt for prompt, _, _ in grouped), *prompts),
        clusters={prompt.id: cluster for prompt, cluster, _ in grouped} | {p.id: p.id for p in prompts},
        kinds=kinds,
        facts=facts_of(content, log.summary(), notes=_REFERENCES),
    )


def _row(raw: dict[str, Any], place: Place, source: str) -> _Record | LabelledPrompt:
    if "criteria" in raw:
        return criteria_format.parse_row(raw, place, source=source, responses_needed=True)
    row = meta_row(raw)
    turns = conversations.literal_turns_of(row["prompt"])
    prompt = row.get("prompt_id") or id_of("\n".join(turn.content for turn in turns))
    return _Record(
        prompt=prompt,
        completion=f"{prompt}:{row.get('completion_id') or id_of(row['completion'])}",
        turns=turns,
        text=row["completion"],
        rubric=row["rubric"],
        kind=row.get("category") or "criterion",
        votes=tuple(bool(vote) for vote in row["binary_labels"]),
    )


def _prompt_of(entry: _Record | LabelledPrompt) -> tuple[str, str] | None:
    """What tells prompts apart; records of one completion are many."""
    return None if isinstance(entry, _Record) else ("id", entry.id)


def _grouped(records: Sequence[_Record]) -> Iterator[tuple[LabelledPrompt, str, dict[tuple[str, str], str]]]:
    """One prompt per completion, with all its criteria; the cluster it belongs to; the kinds of its criteria."""
    by_completion: dict[str, list[_Record]] = defaultdict(list)
    for record in records:
        by_completion[record.completion].append(record)
    for completion, found in by_completion.items():
        rubrics = _joined(found)
        labels = {name: _label(each.votes) for name, each in rubrics.items()}
        prompt = LabelledPrompt(
            id=completion,
            source="healthbench_meta",
            turns=found[0].turns,
            criteria=tuple(
                Criterion(id=name, text=each.rubric, dimension=Dimension.PROFICIENCY) for name, each in rubrics.items()
            ),
            responses=(LabelledResponse(id="completion", text=found[0].text, labels=labels),),
        )
        yield prompt, found[0].prompt, {(completion, name): each.kind for name, each in rubrics.items()}


def _joined(records: Sequence[_Record]) -> dict[str, _Record]:
    """By the id of the criterion; several records of one hold the votes of more raters."""
    joined: dict[str, _Record] = {}
    for record in records:
        first = joined.get(name := id_of(record.rubric))
        joined[name] = replace(first, votes=(*first.votes, *record.votes)) if first else record
    return joined


def _label(votes: tuple[bool, ...]) -> Label:
    """The verdict of the majority; an even split means not met, since the criterion has the burden of proof."""
    return Label(met=2 * sum(votes) > len(votes), kind="physician", votes=votes)


_METRICS: Final[dict[str, Metric]] = {name: metrics.POINTWISE[name] for name in (POOLED, "precision", "recall")}


def _measured(votes: pd.DataFrame) -> Tallies:
    mean = metrics.balanced_f1_by_criterion(votes) if len(votes) else NOTHING
    return {BY_KIND: {OVERALL: mean}} | by_group(votes, _METRICS, "criterion")


def _agreeing(votes: pd.DataFrame) -> Tallies:
    ratings = votes.assign(first=votes["met"].astype(int), second=votes["predicted"].astype(int))
    found: dict[str, Tally] = agreement.agreement(ratings)
    return {name: {OVERALL: measure} for name, measure in found.items()}
