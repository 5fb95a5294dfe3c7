"""Judges for tests of the bench: answers to cases as a rule makes them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydantic_core

from promedical.messages import Limits, ModelInfo, ModelRef
from promedical.rubric import Criterion
from promedical_bench.answers import Answer, Answers, Verdict
from promedical_bench.cases import Case
from promedical_bench.scoring.record_file import VERSION
from promedical_bench.scoring.records import Header


def by_reward(cases: Sequence[Case], reward: Callable[[str], float]) -> Answers:
    """Rewards by a rule on the response's text; ranks follow, verdicts are absent."""

    def answers(case: Case) -> tuple[Answer, ...]:
        rewards = [reward(text) for text in case.responses]
        return tuple(Answer(reward=r, rank=1 + sum(other > r for other in rewards), verdicts={}) for r in rewards)

    return {case.id: answers(case) for case in cases}


def by_verdict(cases: Sequence[Case], met: Callable[[str, Criterion], bool]) -> Answers:
    """Verdicts by a rule on the response's text and the criterion."""

    def answer(text: str, case: Case) -> Answer:
        return Answer(
            reward=0.0,
            rank=1,
            verdicts={
                each.id: Verdict(
                    id=each.id,
                    dimension=each.dimension,
                    logit=4.0 if met(text, each) else -4.0,
                    probability=0.98 if met(text, each) else 0.02,
                    met=met(text, each),
                )
                for each in case.criteria
            },
        )

    return {case.id: tuple(answer(text, case) for text in case.responses) for case in cases}


def written(path: Path, rows: Sequence[Any]) -> Path:
    """The rows as JSON lines."""
    path.write_bytes(b"".join(pydantic_core.to_json(row) + b"\n" for row in rows))
    return path


def a_header(fingerprint: str = "f" * 32, **changes: Any) -> Header:
    """The header of results on some data."""
    ref = ModelRef(name="m", revision="r", fingerprint=fingerprint, engine="fake", dtype="none")
    limits = Limits(
        max_request_bytes=1,
        max_items=1,
        max_responses_per_item=1,
        max_criteria_per_item=1,
        max_path_tokens=1,
        max_request_tokens=1,
    )
    info = ModelInfo(
        model=ref,
        status="trained",
        family="f",
        template="t",
        calibration="c",
        licence="l",
        description="d",
        limits=limits,
    )
    plain = {"task": "kqa", "path": "data", "responses_path": None, "data": "d" * 64, "rubric": None}
    return Header(promedical_bench=VERSION, model=info, **(plain | changes))
