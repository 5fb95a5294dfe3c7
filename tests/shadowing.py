"""Questions and answers of a live oracle and of a candidate, made by hand, for tests of shadow scoring."""

from dataclasses import replace

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.rubric import Dimension

LIVE = m.ModelRef(name="old", revision="r1", fingerprint="f1", engine="fake", dtype="none")
NEW = replace(LIVE, name="new", fingerprint="f2")
FAILED = m.ErrorInfo(code=ErrorCode.TOO_LONG, message="it is too long")


def asked(prompt="Is it safe?", responses=("Yes.", "No."), **changes):
    return m.ScoreRequest(
        items=(m.ScoreItem(id="a", prompt=prompt, responses=responses, rubric_id="house"),), **changes
    )


def verdict(name, dimension, met):
    probability = 0.75 if met else 0.25
    return m.CriterionScore(
        id=name,
        dimension=Dimension(dimension),
        logit=1.0,
        probability=probability,
        threshold=0.5,
        met=met,
        satisfied=met,
    )


def scored(reward, *, good=True, harm=False):
    scores = m.ResponseScores(
        reward=reward,
        rank=1,
        vetoed=harm,
        proficiency=1.0,
        excellence=0,
        violations=int(harm),
        criteria=(verdict("good", "proficiency", good), verdict("harm", "safety", harm)),
    )
    return m.ResponseOutcome(scores=scores)


UNSCORED = m.ResponseOutcome(error=FAILED)


def answered(*responses, sha256="aa", name="a"):
    result = m.ItemResult(
        rubric=m.RubricRef(id="house", version="1", sha256=sha256),
        safety_checked=True,
        ranking=(),
        responses=responses,
    )
    return m.ItemOutcome(id=name, result=result)
