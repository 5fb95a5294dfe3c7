"""OpenRLHF: `--reward.remote_url reward.py`, a file that imports `reward_func` from here.

OpenRLHF calls it in threads, with one query at a time; these are gathered. The response is the query minus the
prompt, criteria travel in the labels. A response that cannot be scored raises: OpenRLHF logs the error and leaves
the sample without a reward.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from promedical.exchanges import Exchange
from promedical.labels import read_label
from promedical.markup import split_query
from promedical.reward_parts import share_of_best
from promedical.rubric import InvalidField
from promedical_client.errors import InvalidRequestError
from promedical_client.integrations.grader import Grade, Grader, scores_of, shared_grader


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], *, grader: Grader | None = None
) -> dict[str, Any]:
    """`rewards`, `scores` between 0 and 1 for dynamic filtering, and `extra_logs`, each a list by query.

    Raises:
        UnscoredError: A response was not scored.
        PromedicalError: The call was not answered.
    """
    oracle = grader or shared_grader()
    exchanges = [
        _exchange(oracle, query, prompt, label) for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    scored = [scores_of(grade) for grade in oracle.run(partial(_grades, oracle, exchanges))]
    return {
        "rewards": [scores.reward for scores in scored],
        "scores": [share_of_best(scores, oracle.reward_weights) for scores in scored],
        "extra_logs": {
            "proficiency": [scores.proficiency or 0.0 for scores in scored],
            "excellence": [float(scores.excellence) for scores in scored],
            "violations": [float(scores.violations) for scores in scored],
            "vetoed": [float(scores.vetoed) for scores in scored],
        },
    }


async def _grades(oracle: Grader, exchanges: list[Exchange]) -> list[Grade]:
    if len(exchanges) == 1:
        return [await oracle.grade_one(exchanges[0])]
    return await oracle.grade(exchanges)


def _exchange(oracle: Grader, query: str, prompt: str, label: Any) -> Exchange:
    try:
        turns, response = split_query(query, prompt)
        return oracle.exchange(turns, response, read_label(label))
    except InvalidField as error:
        raise InvalidRequestError(f"queries: {error}") from None
