"""Prompt templates: the model's chat markup as text with explicit special tokens, criterion last.

The tokenizer's own chat template is never called: some templates inject system prompts, insert dates, or trim. Every
node of the tree ends right after a special token, because a cut elsewhere would change the tokenisation.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final

from promedical_model.calibration import NO_OTHER_FIELDS

_TASK: Final = (
    "Judge the last answer by the criterion that the user names. "
    "Reply Yes if the answer meets the criterion as it is worded, else No."
)
"""This text follows the response and is not in the leaf, so that all criteria share its tokens."""


_TASK_IN_FRONT: Final = (
    "Judge the last answer of the assistant by each criterion that follows it: "
    "is the criterion met by that answer, as it is worded?"
)
"""Before the conversation, where all answers share its tokens too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The text around user content.

    Attributes:
        name: The template's name, with a version.
        begin: Text before the first turn, such as a BOS token.
        turn: One turn of the conversation, with `{role}` and `{content}`.
        between: Text between two turns.
        response: The response node, with `{response}`.
        criterion: The leaf, with `{criterion}`; its last token is where the score is read.
    """

    __pydantic_config__ = NO_OTHER_FIELDS

    name: str
    begin: str
    turn: str
    between: str
    response: str
    criterion: str

    def __post_init__(self) -> None:
        for attribute, fields in (
            ("turn", ("{role}", "{content}")),
            ("response", ("{response}",)),
            ("criterion", ("{criterion}",)),
        ):
            for field in fields:
                if getattr(self, attribute).count(field) != 1:
                    raise ValueError(f"template {self.name}: {attribute} must hold {field} exactly once")

    @property
    def sha256(self) -> str:
        """The hash of all its text."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


CHATML: Final = Template(
    name="chatml-criterion@1",
    begin="",
    turn="<|im_start|>{role}\n{content}<|im_end|>",
    between="\n",
    response=f"\n<|im_start|>assistant\n{{response}}<|im_end|>\n<|im_start|>system\n{_TASK}<|im_end|>",
    criterion="\n<|im_start|>user\nCriterion: {criterion}<|im_end|>\n<|im_start|>assistant\n",
)

LLAMA3: Final = Template(
    name="llama3-criterion@1",
    begin="<|begin_of_text|>",
    turn="<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>",
    between="",
    response=(
        "<|start_header_id|>assistant<|end_header_id|>\n\n{response}<|eot_id|>"
        f"<|start_header_id|>system<|end_header_id|>\n\n{_TASK}<|eot_id|>"
    ),
    criterion=(
        "<|start_header_id|>user<|end_header_id|>\n\nCriterion: {criterion}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
)

CHATML_SHORT: Final = Template(
    name="chatml-criterion@2",
    begin=f"<|im_start|>system\n{_TASK_IN_FRONT}<|im_end|>\n",
    turn=CHATML.turn,
    between=CHATML.between,
    response="\n<|im_start|>assistant\n{response}<|im_end|>",
    criterion="<|im_start|>criterion\n{criterion}<|im_end|>",
)

LLAMA3_SHORT: Final = Template(
    name="llama3-criterion@2",
    begin=f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{_TASK_IN_FRONT}<|eot_id|>",
    turn=LLAMA3.turn,
    between=LLAMA3.between,
    response="<|start_header_id|>assistant<|end_header_id|>\n\n{response}<|eot_id|>",
    criterion="<|start_header_id|>criterion<|end_header_id|>\n\n{criterion}<|eot_id|>",
)

DERIVED: Final = (CHATML, LLAMA3)
"""What a plain model is asked by: it answers Yes or No without training."""
BUILT_IN: Final = (*DERIVED, CHATML_SHORT, LLAMA3_SHORT)
"""The second versions say the task once and end a leaf in one token, so trees are smaller; they need training."""
