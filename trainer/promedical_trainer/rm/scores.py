"""Logits of a bundle for labelled data, as the service gives them in fp32. Resumable: one line per prompt."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from promedical_data.files import appending
from promedical_data.labelled import LabelledPrompt, LabelledResponse
from promedical_data.measures.predictions import Key
from promedical_data.variants import BLANK, SCALAR
from promedical_model.bundle.bundle import Bundle
from promedical_model.loading import load_tree_model
from promedical_model.rendering.prompt import PromptRenderer, Rendered
from promedical_model.tree.cpu_linear import use_onednn
from promedical_model.tree.token_tree import pack_rows
from promedical_model.tree.tree_model import TreeModel
from promedical_trainer.rm.ablation import scalar_sign

_ROW_TOKENS: Final = {"cpu": 3072, "cuda": 16384}
_DTYPE: Final = torch.float32
"""Also on a GPU: a bundle's card and calibration do not depend on where it was trained."""


class TooLongError(ValueError):
    """A labelled response does not fit into the model, so every comparison would have to leave it out."""


class ModelScorer:
    """A model in memory that scores labelled prompts.

    Args:
        model: The model, on its device.
        renderer: The model's renderer.
        criteria: False gives each criterion the same scalar, with its sign: the ablation "no criteria".
        blank: Score what the bench puts in place of every response: the control "criterion only".
    """

    def __init__(
        self, model: TreeModel, renderer: PromptRenderer, *, criteria: bool = True, blank: bool = False
    ) -> None:
        self._model = model
        self._renderer = renderer
        self._row_tokens = _ROW_TOKENS[model.device.type]
        self._criteria = criteria
        self._blank = blank

    def logits(self, prompt: LabelledPrompt) -> dict[str, dict[str, float]]:
        """Logits by response and criterion, for every criterion of the prompt.

        Raises:
            TooLongError: Names the response and the numbers.
        """
        texts = [each.text for each in prompt.criteria] if self._criteria else [SCALAR.text]
        responses = prompt.responses[:1] if self._blank else prompt.responses
        bodies = [BLANK if self._blank else each.text for each in responses]
        rendered = self._renderer.render(prompt.turns, bodies, texts)
        for index, reason in rendered.too_long.items():
            raise TooLongError(f"prompt {prompt.id}, response {responses[index].id}: {reason.message}")
        rows = self._by_response(rendered)
        return {
            response.id: self._by_criterion(prompt, rows[0 if self._blank else index])
            for index, response in enumerate(prompt.responses)
        }

    def _by_response(self, rendered: Rendered) -> list[Sequence[float]]:
        """Logits in the order of the responses, since what is not truncated is one tree."""
        rows = pack_rows([each.tree for each in rendered.trees], self._row_tokens)
        return [branch for row in rows for tree in self._model.score(row) for branch in tree]

    def _by_criterion(self, prompt: LabelledPrompt, logits: Sequence[float]) -> dict[str, float]:
        if self._criteria:
            return {each.id: logit for each, logit in zip(prompt.criteria, logits, strict=True)}
        return {each.id: scalar_sign(each) * logits[0] for each in prompt.criteria}


class BundleScorer(ModelScorer):
    """A bundle, loaded as the service loads it.

    Args:
        bundle: The bundle.
        device: The device that computes.
        **changes: How what is asked is changed, as of a model in memory.
    """

    def __init__(self, bundle: Bundle, device: torch.device, **changes: Any) -> None:
        model = load_tree_model(bundle, dtype=_DTYPE, device=device)
        use_onednn(model.decoder)
        super().__init__(model, bundle.renderer(), **changes)


def score(
    scorer: Callable[[], ModelScorer], prompts: Sequence[LabelledPrompt], path: Path, advance: Callable[[int], None]
) -> dict[Key, float]:
    """Logits of all prompts; what the file holds already is not computed again.

    Args:
        scorer: Called only if there is something left to score.
        prompts: The prompts to score.
        path: The file of logits as JSONL, one prompt a line; a half-written last line is dropped.
        advance: Called with the number of prompts that are done.
    """
    done = _read(path)
    left = [
        prompt for prompt in prompts if not {each.id for each in prompt.responses} <= done.get(prompt.id, {}).keys()
    ]
    advance(len(prompts) - len(left))
    if left:
        _score_into(scorer(), left, path, done, lambda count: advance(len(prompts) - len(left) + count))
    return {
        (prompt.id, response.id, criterion): done[prompt.id][response.id][criterion]
        for prompt in prompts
        for response in prompt.responses
        for criterion in _asked(prompt, response)
    }


def _score_into(
    scorer: ModelScorer,
    prompts: Sequence[LabelledPrompt],
    path: Path,
    done: dict[str, dict[str, dict[str, float]]],
    advance: Callable[[int], None],
) -> None:
    with appending(path) as file:
        for count, prompt in enumerate(prompts, start=1):
            done[prompt.id] = scorer.logits(prompt)
            file.write(_line(prompt.id, done[prompt.id]))
            file.flush()
            advance(count)


def _asked(prompt: LabelledPrompt, response: LabelledResponse) -> set[str]:
    """Criteria that a label or a preference asks about."""
    named = {each.criterion for each in prompt.preferences if response.id in {each.winner, each.loser}}
    return named | response.labels.keys()


def _line(prompt: str, logits: dict[str, dict[str, float]]) -> bytes:
    return json.dumps({"prompt": prompt, "logits": logits}).encode() + b"\n"


def _read(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return {row["prompt"]: row["logits"] for row in rows}
