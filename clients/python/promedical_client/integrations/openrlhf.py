"""OpenRLHF: `--reward.remote_url reward.py`, a file that imports `reward_func` from here.

OpenRLHF calls it in threads, with one query at a time; these calls are gathered. The response is the query without
the prompt; criteria travel in the labels.

OpenRLHF cannot leave a sample out, and training ends at a sample without a reward. So `reward_func` raises if a
response cannot be scored, unless you choose what such a response is worth (`unscored_reward`; `extra_logs` then
marks it by `scored` 0).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from promedical.interop.exchanges import Exchange
from promedical.interop.reward_parts import share_of_best
from promedical.messages import ResponseScores
from promedical.rubric import InvalidField
from promedical_client.integrations.grader import Grader
from promedical_client.integrations.grades import Grade
from promedical_client.integrations.samples import Sample, unreadable
from promedical_client.integrations.shared import chosen_grader
from promedical_client.integrations.unscored import LOGS, chosen_reward, parts_of, reward_or


def reward_func(
    queries: Sequence[str],
    prompts: Sequence[str],
    labels: Sequence[Any],
    *,
    unscored_reward: float | None = None,
    grader: Grader | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """`rewards`, `scores` between 0 and 1 for dynamic filtering, and `extra_logs`, each a list by query.

    Args:
        queries: Prompts with their responses.
        prompts: Prompts.
        labels: Criteria or the name of a rubric.
        unscored_reward: What a response that cannot be scored gets; None to raise.
        grader: The grader to use instead of the one that the settings and the environment describe.
        settings: The settings of `shared_grader`, such as `url` and `proficiency_mode`.

    Raises:
        MisconfiguredError: A setting is not known, or cannot be used.
        UnscoredError: A response was not scored, and there is no `unscored_reward`.
        PromedicalError: The call was not answered.
    """
    oracle = chosen_grader(grader, settings)
    instead = chosen_reward(unscored_reward, oracle)
    samples = [
        _sample(oracle, *sample, path=f"queries[{index}]")
        for index, sample in enumerate(zip(queries, prompts, labels, strict=True))
    ]
    grades = oracle.run(partial(_grades, oracle, samples))
    parts = [parts_of(grade) for grade in grades]
    return {
        "rewards": [reward_or(grade, instead) for grade in grades],
        "scores": [_share(grade, oracle) for grade in grades],
        "extra_logs": {name: [each[name] for each in parts] for name in LOGS},
    }


def _share(grade: Grade, oracle: Grader) -> float:
    return share_of_best(grade, oracle.reward_weights) if isinstance(grade, ResponseScores) else 0.0


async def _grades(oracle: Grader, samples: list[Sample]) -> list[Grade]:
    if len(samples) == 1:
        return [await oracle.grade_one(samples[0])]
    return await oracle.grade(samples)


def _sample(oracle: Grader, query: str, prompt: str, label: Any, *, path: str) -> Sample:
    try:
        read = Exchange.split(query, prompt, place=path)
    except InvalidField as error:
        return unreadable(str(error))
    return oracle.sample(read.turns, read.response, label, path=path)
