"""The report of a candidate that scored a share of the live requests too: may it be promoted?"""

from typing import Final

from promedical_bench.evaluation.moving_over import Check, MayMove, answer_of
from promedical_bench.evaluation.oracle_change import REVERSED, TITLES
from promedical_bench.reports.content import Content, Headline, scores_table
from promedical_bench.reports.oracle_report import BY_GROUP, headline, limits_table, rest_table
from promedical_bench.scoring.records import count_unscored
from promedical_bench.scoring.shadow_file import ShadowResults
from promedical_data.measures.evaluation import Scores

ADVICE: Final = {
    MayMove.YES: "The candidate may be promoted: every limit is kept.",
    MayMove.NO: "Do not promote the candidate: callers would notice.",
    MayMove.UNKNOWN: "These records are too few to tell. Let the shadow run on, or raise shadow_share.",
}
_SINGLE: Final = (
    "No item had two responses that both scored, so nothing is known of order. The answer is for callers who score "
    "single responses, and not for trainers."
)
_NOTES: Final = (
    "Brackets hold 95 % bootstrap intervals; they resample prompts, which are known by their hash.",
    "The interval of a share of 0 is that of the binomial distribution, as if responses were independent.",
    "A limit is kept if the whole interval keeps it, and broken if the value breaks it; else the data are too few.",
    "The old oracle is the live one, the new one the candidate.",
    "Order and advantages are those of the responses of one item; agreement has a limit if items had one response.",
    "Rewards are as the callers asked for them.",
    "The sample is a share of the live requests; what was dropped under load is not in it.",
)


def shadow_content(results: ShadowResults, change: Scores, found: tuple[Check, ...]) -> Content:
    """The content of the report, without its plots.

    Args:
        results: What both said.
        change: What changes, by measure and then by dimension or "overall".
        found: The limits beside what was measured; none of order if no item had two responses that both scored.
    """
    said, has_order = answer_of(found), any(check.measure == REVERSED for check in found)
    others = {name: estimates for name, estimates in change.items() if name in BY_GROUP}
    return Content(
        title="May the candidate be promoted?",
        subtitle=f"{results.live[0]} {results.live[1]} to {results.candidate[0]} {results.candidate[1]}",
        warnings=(ADVICE[said], *([] if has_order else [_SINGLE]), *_warnings(results)),
        headlines=(Headline(label="may be promoted", value=str(said), interval=""), *map(headline, found)),
        facts=_facts(results),
        main=(limits_table(found, "What callers would notice"), scores_table(others, TITLES, "Verdicts, by dimension")),
        details=(rest_table(change),),
        notes=_NOTES,
    )


def _warnings(results: ShadowResults) -> list[str]:
    told = ["Both are the same oracle."] if results.live[1] == results.candidate[1] else []
    if other := results.outcomes.get("other_rubric"):
        told.append(
            f"{other:,} responses were judged by other criteria on the two sides and are left out: the same name means "
            "another rubric there."
        )
    if results.errors:
        told.append(f"The candidate did not score what the live oracle scored: {count_unscored(results.errors)}.")
    return told


def _facts(results: ShadowResults) -> tuple[tuple[str, str], ...]:
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(results.outcomes.items()))
    return (
        ("live oracle", " ".join(results.live)),
        ("candidate", " ".join(results.candidate)),
        ("responses", counts),
        ("items", f"{len(results.old):,}"),
        ("prompts", f"{len(set(results.cluster.values())):,}"),
        ("from", results.span[0]),
        ("to", results.span[1]),
    )
