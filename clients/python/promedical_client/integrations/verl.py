"""verl: `reward.custom_reward_function.path=pkg://promedical_client.integrations.verl`, name `compute_score`.

verl hands out neither the prompt nor the criteria by itself. Put the prompt into `extra_info.prompt` of the data, and
the criteria (JSON text) or the name of a rubric into `reward_model.ground_truth`. Calls of one loop are gathered.
`compute_scores` is for verl's batch manager, which asks for all samples at once.

verl cannot leave a sample out. If a response cannot be scored, `compute_score` raises and the step fails, unless you
choose a reward for it (`unscored_reward`; it is then marked by `scored` 0).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from promedical_client.integrations.grader import Grader
from promedical_client.integrations.samples import Sample, unreadable
from promedical_client.integrations.shared import chosen_grader
from promedical_client.integrations.unscored import chosen_reward, parts_of, reward_or

_OF_VERL: Final = {"reward_router_address", "reward_model_tokenizer"}
"""What verl passes beside the settings, and what is not needed here."""


async def compute_score(
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    *,
    data_source: Any = None,  # noqa: ARG001 - verl passes it by this name
    unscored_reward: float | None = None,
    grader: Grader | None = None,
    **settings: Any,
) -> dict[str, float]:
    """The reward as `score`, and its parts; always the same keys, which verl requires.

    Args:
        solution_str: The response.
        ground_truth: Criteria or the name of a rubric.
        extra_info: Holds `prompt`, text or messages.
        data_source: The name of the data set, which says nothing here.
        unscored_reward: What a response that cannot be scored gets; None to raise.
        grader: The grader to use instead of the one that the settings and the environment describe.
        settings: `reward_kwargs` of verl's configuration: the settings of `shared_grader`, such as `url`,
            `proficiency_mode` and `thoughts`.

    Raises:
        MisconfiguredError: A setting is not known, or cannot be used.
        UnscoredError: The response was not scored or the sample cannot be read, and there is no `unscored_reward`.
        PromedicalError: The call was not answered.
    """
    oracle = _oracle(grader, settings)
    instead = chosen_reward(unscored_reward, oracle)
    grade = await oracle.grade_one(_sample(oracle, solution_str, ground_truth, extra_info))
    return {"score": reward_or(grade, instead), **parts_of(grade)}


def compute_scores(
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Any],
    *,
    data_sources: Any = None,  # noqa: ARG001 - verl passes it by this name
    unscored_reward: float | None = None,
    grader: Grader | None = None,
    **settings: Any,
) -> list[dict[str, float]]:
    """As `compute_score`, for verl's batch manager: one answer per sample, all asked in one call.

    Raises:
        MisconfiguredError: A setting is not known, or cannot be used.
        UnscoredError: A response was not scored, and there is no `unscored_reward`.
        PromedicalError: The call was not answered.
    """
    oracle = _oracle(grader, settings)
    instead = chosen_reward(unscored_reward, oracle)
    rows = zip(solution_strs, ground_truths, extra_infos, strict=True)
    samples = [_sample(oracle, *row, path=f"solution_strs[{index}]") for index, row in enumerate(rows)]
    grades = oracle.run(partial(oracle.grade, samples))
    return [{"score": reward_or(grade, instead), **parts_of(grade)} for grade in grades]


def _oracle(grader: Grader | None, settings: Mapping[str, Any]) -> Grader:
    return chosen_grader(grader, {name: value for name, value in settings.items() if name not in _OF_VERL})


def _sample(oracle: Grader, response: Any, label: Any, extra_info: Any, *, path: str = "") -> Sample:
    prompt = extra_info.get("prompt") if isinstance(extra_info, Mapping) else None
    if prompt is None:
        return unreadable("extra_info.prompt: is missing; put the prompt into the extra_info of the data")
    return oracle.sample(prompt, response, label, path=path)
