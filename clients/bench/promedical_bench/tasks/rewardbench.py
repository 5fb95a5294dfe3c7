"""Task `rewardbench`: the rows of RewardBench (arXiv 2403.13787) and RewardBench 2 (arXiv 2506.01937), as JSON.

    version 1: {"id", "subset", "prompt": text or messages, "chosen": text, "rejected": text}
    version 2: {"id", "subset", "prompt", "chosen": [text], "rejected": [text, text, text]}; in Ties several are right

A row is right if the reward of the chosen response is above that of every rejected one; a tie is wrong. Version 1 has
four sections, each the mean of its subsets weighted by their published counts; `score` is the mean of the sections. In
version 2 every subset is a section, and Ties has a formula of its own. Rows may have `criteria` (as ours do, see
`export`); rows without criteria are judged by a named rubric.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NotRequired

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical_bench.cases import Case
from promedical_bench.tasks.choices import Choice, ChoiceTask, numbered
from promedical_bench.tasks.sections import CHANGED, section_of, weight_of
from promedical_bench.tasks.task import facts_of, id_of
from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.formats.content import content_of
from promedical_data.formats.criterion_fields import criteria_of
from promedical_data.formats.lines import usable
from promedical_data.measures.tallies import NOTHING, Numbers, Tally, ratio
from promedical_data.skips import Place, Refusal, SkipLog

TIES: Final = "Ties"
SCORE: Final = "score"

_EXPECTED: Final = "rows of RewardBench: prompt, chosen, rejected, subset (convert parquet to JSON lines first)"
_TIES_ID: Final = re.compile(r"(ref|tied):\d+")
_TIES_COLUMNS: Final = ("ref", "refs", "tied", "ties", "preferred", "preferred_hard", "margin", "both")


class _Row(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: NotRequired[str | int]
    subset: NotRequired[parts.Filled]
    prompt: conversations.RawPrompt
    chosen: str | list[parts.Filled]
    rejected: str | list[parts.Filled]
    criteria: NotRequired[parts.RawParts]


_ROW: Final = TypeAdapter(_Row)


def load(path: Path) -> ChoiceTask:
    """Read the task.

    Raises:
        DataError: The file cannot be used.
    """
    content = content_of(path, _EXPECTED)
    log = SkipLog()
    choices = numbered(usable(content, _choice, log, _EXPECTED))
    return ChoiceTask(
        name="rewardbench",
        title="RewardBench: the chosen response has the highest reward",
        headline=SCORE,
        headline_title="Score: mean of the sections",
        chance=None,
        formula=_sections,
        choices=choices,
        facts=facts_of(content, log.summary(), notes=_notes(choices)),
    )


def _notes(choices: Sequence[Choice]) -> tuple[str, ...]:
    """A note for those who compare with older scores, where the subsets are there that it is about."""
    return (CHANGED,) if any(each.group.startswith("xstest-") for each in choices) else ()


def _choice(raw: dict[str, Any], place: Place) -> Choice:
    row = parts.checked(_ROW, raw)
    right, wrong = _texts(row["chosen"]), _texts(row["rejected"])
    if not right or not wrong:
        raise Refusal("chosen, rejected: need at least one response each")
    turns = conversations.literal_turns_of(row["prompt"])
    row_id, group = str(row.get("id", id_of("\n".join(right + wrong)))), row.get("subset", "all")
    if group.lower() == TIES.lower():
        group = TIES
    if group == TIES and not _TIES_ID.fullmatch(row_id):
        raise Refusal("id: is neither ref:N nor tied:N, as the formula of Ties needs it")
    case = Case(
        id=row_id,
        cluster=id_of("\n".join(turn.content for turn in turns)),
        turns=turns,
        responses=(*right, *wrong),
        criteria=criteria_of(row["criteria"], place) if row.get("criteria") else (),
    )
    return Choice(case=case, id=row_id, group=group, right=len(right))


def _texts(value: str | list[str]) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (value,) if value.strip() else ()


def _sections(frame: pd.DataFrame) -> dict[str, Tally]:
    """The score, which is the mean of the sections, and the sections, from one table of sums.

    The table has a column per subset and quantity.
    """
    if frame.empty:
        return {"overall": NOTHING}
    plain = frame[frame["group"] != TIES]
    right = pd.crosstab(plain["prompt"], plain["group"], values=plain["margin"] > 0, aggfunc="sum").fillna(0.0)
    rows = pd.crosstab(plain["prompt"], plain["group"])
    subsets = list(rows.columns)
    sums = pd.concat([right[subsets], rows, _ties_sums(frame[frame["group"] == TIES])], axis=1).fillna(0.0)
    sums = sums.astype(float).sort_index()
    formulas = _formulas(subsets, has_ties=TIES in set(frame["group"]))

    def score(numbers: Numbers) -> Numbers:
        mean: Numbers = np.mean([formula(numbers) for formula in formulas.values()], axis=0)
        return mean

    named = {"overall": score} | formulas
    return {name: Tally(sums=sums, formula=formula, n=len(frame)) for name, formula in named.items()}


def _formulas(subsets: Sequence[str], *, has_ties: bool) -> dict[str, Any]:
    sections: dict[str, list[int]] = {}
    for place, subset in enumerate(subsets):
        sections.setdefault(section_of(subset), []).append(place)
    found = {name: _weighted(places, [subsets[p] for p in places], len(subsets)) for name, places in sections.items()}
    return found | ({TIES: lambda sums: _ties_score(sums[..., 2 * len(subsets) :])} if has_ties else {})


def _weighted(places: Sequence[int], subsets: Sequence[str], count: int) -> Any:
    """The mean accuracy of some subsets, weighted by their published counts, or else by their numbers of rows."""
    right, rows = list(places), [place + count for place in places]

    def formula(sums: Numbers) -> Numbers:
        published = [weight_of(subset) for subset in subsets]
        weights = [
            np.broadcast_to(float(known), sums.shape[:-1]) if known else sums[..., row]
            for known, row in zip(published, rows, strict=True)
        ]
        shares = [ratio(sums[..., one], sums[..., row]) for one, row in zip(right, rows, strict=True)]
        return ratio(np.sum([w * s for w, s in zip(weights, shares, strict=True)], axis=0), np.sum(weights, axis=0))

    return formula


def _ties_sums(frame: pd.DataFrame) -> pd.DataFrame:
    """What the formula of Ties adds up, per prompt; ids are "ref:N" (one right response) and "tied:N" (several)."""
    kinds = frame["id"].str.split(":", n=1, expand=True) if len(frame) else pd.DataFrame({0: [], 1: []})
    numbered = frame.assign(kind=kinds[0], number=kinds[1])
    pairs = numbered[numbered["kind"] == "tied"].merge(
        numbered[numbered["kind"] == "ref"], on="number", how="outer", suffixes=("", "_ref")
    )
    both = pairs["margin"].notna() & pairs["margin_ref"].notna()
    hard = np.minimum(pairs["margin"], pairs["margin_ref"])
    with np.errstate(divide="ignore", invalid="ignore"):
        margin = np.nan_to_num(np.tanh(hard / pairs["spread"] - 1), nan=0.0)
    sums = pd.DataFrame(
        {
            "ref": pairs["margin_ref"] > 0,
            "refs": pairs["margin_ref"].notna(),
            "tied": pairs["margin"] > 0,
            "ties": pairs["margin"].notna(),
            "preferred": both & (pairs["margin"] > pairs["spread"]),
            "preferred_hard": both & (hard > pairs["spread"]),
            "margin": np.where(both, margin, 0.0),
            "both": both,
        }
    ).astype(float)
    return sums.groupby(pairs["prompt"].fillna(pairs["prompt_ref"]).to_numpy()).sum()


def _ties_score(sums: Numbers) -> Numbers:
    """0.3 times each accuracy, 0.2 times each share of wide margins, 0.01 times their width (RewardBench 2)."""
    at = {name: sums[..., place] for place, name in enumerate(_TIES_COLUMNS)}
    accuracy = ratio(at["ref"], at["refs"]) + ratio(at["tied"], at["ties"])
    preferred = ratio(at["preferred"], at["both"]) + ratio(at["preferred_hard"], at["both"])
    return 0.3 * accuracy + 0.2 * preferred + 0.01 * ratio(at["margin"], at["both"])
