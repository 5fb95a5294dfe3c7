"""The report of two oracles on the same responses: what a policy would notice, and whether its training may move."""

from collections.abc import Sequence

from promedical_bench.evaluation.moving_over import ADVICE, Check, answer_of
from promedical_bench.evaluation.oracle_change import TITLES, UNSCORED
from promedical_bench.reports.content import Content, Headline, Table, cell, interval, number, scores_table
from promedical_bench.scoring.records import Header
from promedical_bench.tasks.task import Task
from promedical_data.measures.evaluation import Scores

BY_GROUP = ("raw_agreement", "gwet_ac1", "kappa", "flipped_to_met", "flipped_to_not_met", "probability_shift")
_NOTES = (
    "Brackets hold 95 % bootstrap intervals; they resample prompts.",
    "The interval of a share of 0 is that of the binomial distribution, as if responses were independent.",
    "A limit is kept if the whole interval keeps it, and broken if the value breaks it; else the data are too few.",
    "Order is that of the ranking; pairs that tie for the old oracle are left out.",
    "Rewards are soft: S1 is made of probabilities.",
    "An advantage is a reward less the mean of its group, by the group's standard deviation; GRPO learns from it.",
    "A group without spread has no advantages.",
    "Which of the two is right is another question: `promedical-bench compare` measures both by the labels.",
)


def oracle_content(
    task: Task,
    headers: tuple[Header, Header],
    change: Scores,
    found: tuple[Check, ...],
    scored: tuple[int, int, int],
) -> Content:
    """The content of the report, without its plots.

    Args:
        task: What both were asked about.
        headers: The headers of the results: the old oracle's, then the new one's.
        change: What changes, by measure and then by dimension or "overall".
        found: The limits beside what was measured.
        scored: Responses that the old one, the new one and both of them scored.
    """
    said = answer_of(found)
    others = {name: estimates for name, estimates in change.items() if name in BY_GROUP}
    return Content(
        title="May a policy's training move to another oracle?",
        subtitle=f"{_named(headers[0])} to {_named(headers[1])}",
        warnings=(ADVICE[said], *_warnings(headers, scored)),
        headlines=(Headline(label="may move over", value=str(said), interval=""), *map(headline, found)),
        facts=_facts(task, headers, scored),
        main=(
            limits_table(found, "What a policy would notice"),
            scores_table(others, TITLES, "Verdicts, by dimension"),
        ),
        details=(rest_table(change),),
        notes=_NOTES,
    )


def headline(check: Check) -> Headline:
    """A limit's value, in one line."""
    value = "-" if check.found.value is None else number(check.found.value)
    return Headline(label=TITLES[check.measure].lower(), value=value, interval=interval(check.found))


def limits_table(found: Sequence[Check], title: str) -> Table:
    """What was found beside each limit."""
    rows = tuple(
        (
            TITLES[each.measure],
            cell(each.found),
            f"{'at most' if each.at_most else 'at least'} {each.limit:g}",
            str(each.answer),
            f"{each.found.n:,}",
        )
        for each in found
    )
    return Table(title=title, columns=("", "found", "limit", "kept", "n"), rows=rows)


def rest_table(change: Scores) -> Table:
    """What else was measured."""
    names = ("new_ties", "reward_shift", UNSCORED)
    rest = {name: change[name] for name in names}
    return scores_table(rest, TITLES, "Also")


def _warnings(headers: tuple[Header, Header], scored: tuple[int, int, int]) -> list[str]:
    one = headers[0].fingerprint == headers[1].fingerprint
    told = [f"{_named(header)} is {header.model.status}." for header in headers if header.model.status != "trained"]
    left = [f"Only the {scored[2]:,} responses that both scored are compared."] if len(set(scored)) > 1 else []
    return [*(["Both are the same oracle."] if one else []), *told, *left]


def _facts(task: Task, headers: tuple[Header, Header], scored: tuple[int, int, int]) -> tuple[tuple[str, str], ...]:
    told = zip(("old oracle", "new oracle"), headers, scored[:2], strict=True)
    return (
        ("task", task.name),
        *((name, f"{_named(header)}, {header.fingerprint}, {count:,} scored") for name, header, count in told),
        ("scored by both", f"{scored[2]:,}"),
        ("data", str(task.facts.path)),
        ("hash of the data", task.facts.digest),
    )


def _named(header: Header) -> str:
    ref = header.model.model
    return f"{ref.name} at {ref.revision[:12]} ({ref.engine}, {ref.dtype})"
