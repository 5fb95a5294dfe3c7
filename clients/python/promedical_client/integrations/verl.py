"""verl: `reward.custom_reward_function.path=pkg://promedical_client.integrations.verl`, name `compute_score`.

verl hands out neither the prompt nor the criteria by itself. Put the prompt into `extra_info.prompt` of the data, and
the criteria (JSON text) or the name of a rubric into `reward_model.ground_truth`. Calls of one loop are gathered.

verl cannot leave a sample out. If a response cannot be scored, `compute_score` raises and the step fails, unless you
choose a reward for it (`unscored_reward`; it is then marked by `scored` 0).
"""

from collections.abc import Mapping
from typing import Any

from promedical_client.integrations.grader import Grader
from promedical_client.integrations.samples import Sample, unreadable
from promedical_client.integrations.shared import shared_grader
from promedical_client.integrations.unscored import parts_of, reward_or


async def compute_score(
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    *,
    unscored_reward: float | None = None,
    grader: Grader | None = None,
    url: str | None = None,
    rubric_id: str | None = None,
    expected_fingerprint: str | None = None,
    expected_rubrics: str | None = None,
    thoughts: str | None = None,
    **_: Any,
) -> dict[str, float]:
    """The reward as `score`, and its parts; always the same keys, which verl requires.

    Args:
        solution_str: The response.
        ground_truth: Criteria or the name of a rubric.
        extra_info: Holds `prompt`, text or messages.
        unscored_reward: What a response that cannot be scored gets; None to raise.
        grader: The grader to use instead of the one that the settings and the environment describe.
        url: The service's address; this and the next four may be set in `reward_kwargs`.
        rubric_id: The rubric for samples without a ground truth.
        expected_fingerprint: The fingerprint that the oracle must have.
        expected_rubrics: The rubrics that samples may name, with their hashes: `NAME=SHA256`, separated by commas.
        thoughts: What is judged of a response with a thought: `leave_out`, `require` or `judge`, as for `Grader`.

    Raises:
        UnscoredError: The response was not scored or the sample cannot be read, and there is no `unscored_reward`.
        PromedicalError: The call was not answered.
    """
    settings = {
        "url": url,
        "rubric_id": rubric_id,
        "expected_fingerprint": expected_fingerprint,
        "expected_rubrics": expected_rubrics,
        "thoughts": thoughts,
    }
    oracle = grader or shared_grader(**{name: value for name, value in settings.items() if value is not None})
    grade = await oracle.grade_one(_sample(oracle, solution_str, ground_truth, extra_info))
    return {"score": reward_or(grade, unscored_reward), **parts_of(grade)}


def _sample(oracle: Grader, response: Any, label: Any, extra_info: Any) -> Sample:
    prompt = extra_info.get("prompt") if isinstance(extra_info, Mapping) else None
    if prompt is None:
        return unreadable("extra_info.prompt: is missing; put the prompt into the extra_info of the data")
    return oracle.sample(prompt, response, label)
