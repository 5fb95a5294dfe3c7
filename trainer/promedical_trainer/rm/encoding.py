"""Labelled prompts as tokens. The text is encoded once, before the first step; trees are put together from its tokens.

What fits into the model must be known before training, since the number of steps depends on it. That takes the tokens
of every text; they are kept, so that no step and no later epoch encodes anything (docs/adr/0031).
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from promedical.messages import Message
from promedical_data.labelled import LabelledPrompt
from promedical_data.variants import SCALAR
from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.tree.token_tree import Branch, TokenTree
from promedical_trainer.rm.expansion import Group

_Ids: TypeAlias = "array[int]"
"""Token ids at four bytes each; as tuples they would need ten times as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompts:
    """Prompts and the tokens of their texts.

    Attributes:
        prompts: The prompts with the responses that fit into the model.
        too_long: How many responses do not fit and were left out.
        conversations: Tokens by conversation.
        responses: Tokens by text.
        criteria: Tokens by text.
    """

    prompts: tuple[LabelledPrompt, ...]
    too_long: int
    conversations: dict[tuple[Message, ...], _Ids]
    responses: dict[str, _Ids]
    criteria: dict[str, _Ids]

    def tree(self, group: Group) -> TokenTree:
        """The group as one tree: a branch per response, a leaf per criterion, in the group's order.

        Raises:
            ValueError: The group is not of these prompts, or holds a response that does not fit.
        """
        try:
            leaves = tuple(tuple(self.criteria[each.text]) for each in group.criteria)
            branches = (Branch(response=tuple(self.responses[each.text]), leaves=leaves) for each in group.responses)
            return TokenTree(prompt=tuple(self.conversations[group.prompt.turns]), branches=tuple(branches))
        except KeyError:  # its message would hold the text
            raise ValueError(f"prompt {group.prompt.id}: holds a text that was not encoded or does not fit") from None


def encode(prompts: Iterable[LabelledPrompt], renderer: PromptRenderer) -> EncodedPrompts:
    """Encode prompts, without the responses whose path is longer than the renderer's limit.

    The criterion that stands for all others in an ablation counts too, so that every ablation keeps the same responses.
    """
    kept: list[LabelledPrompt] = []
    conversations: dict[tuple[Message, ...], _Ids] = {}
    responses: dict[str, _Ids] = {}
    criteria: dict[str, _Ids] = {}
    too_long = 0
    for prompt in prompts:
        texts = [*(each.text for each in prompt.criteria), SCALAR.text]
        rendered = renderer.render(prompt.turns, [each.text for each in prompt.responses], texts)
        too_long += len(rendered.too_long)
        for tree, places in ((each.tree, each.responses) for each in rendered.trees):  # one, or none where none fits
            fitting = tuple(prompt.responses[place] for place in places)
            kept.append(prompt.with_responses(fitting))
            conversations[prompt.turns] = array("I", tree.prompt)
            responses |= {each.text: array("I", of.response) for each, of in zip(fitting, tree.branches, strict=True)}
            criteria |= {text: array("I", leaf) for text, leaf in zip(texts, tree.branches[0].leaves, strict=True)}
    return EncodedPrompts(
        prompts=tuple(kept), too_long=too_long, conversations=conversations, responses=responses, criteria=criteria
    )
