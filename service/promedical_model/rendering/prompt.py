"""Rendering: conversation, responses and criteria to token trees. Pure; too long texts are cut only if asked.

The tree is exact: the tokens of every path equal those of the whole text rendered and encoded in one go.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from promedical.messages import Message, Truncation
from promedical_model.rendering.template import Template
from promedical_model.rendering.text_encoder import Encoded, Piece, TextEncoder
from promedical_model.tree.token_tree import Branch, Tokens, TokenTree

_LEAF_RESERVE: Final = 8
"""One part in 8 of the model's length is kept for the criterion when cutting, whatever the criteria at hand
are: what is cut from a response must not depend on which criteria it is judged by."""
_CHEAP_CHARACTERS: Final = 2**16
"""An item of up to this size is always tokenised, so that errors can name exact numbers of tokens."""
_CUT_MARGIN: Final = 512
"""Extra tokens that are encoded before a text is cut, since the end of a text may change the tokens before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLong:
    """A response that does not fit, with the numbers that say by how much."""

    prompt_tokens: int
    response_tokens: int
    criterion_tokens: int
    limit: int
    at_least: bool = False

    @property
    def tokens(self) -> int:
        """The tokens of the whole path."""
        return self.prompt_tokens + self.response_tokens + self.criterion_tokens

    @property
    def message(self) -> str:
        """What is too long and what to do."""
        return (
            f"needs {'at least ' if self.at_least else ''}{self.tokens} tokens (prompt {self.prompt_tokens}, response "
            f"{self.response_tokens}, longest criterion {self.criterion_tokens}); the model reads {self.limit}. "
            "Shorten it, or set truncation to response_end or prompt_start to cut that part; criteria are never cut"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedTree:
    """A tree with one branch per response, and the position of each branch's response in the item."""

    tree: TokenTree
    responses: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """An item as trees. Every response is in one tree, or in `too_long`."""

    trees: tuple[RenderedTree, ...]
    too_long: dict[int, TooLong]
    truncated: frozenset[int]


class PromptRenderer:
    """Renders items for one model.

    Args:
        template: The bundle's template.
        encoder: The encoder of the bundle's tokenizer.
        max_path_tokens: The most tokens that the model reads: prompt, response and criterion together.

    Raises:
        ValueError: The template does not fit the tokenizer.
    """

    def __init__(self, template: Template, encoder: TextEncoder, max_path_tokens: int) -> None:
        self._encoder = encoder
        self._begin = encoder.compile(template.begin, "{content}")
        self._between = encoder.compile(template.between, "{content}")
        self._turns = {
            role: encoder.compile(template.turn.replace("{role}", role), "{content}")
            for role in ("system", "user", "assistant")
        }
        self._response = encoder.compile(template.response, "{response}")
        self._criterion = encoder.compile(template.criterion, "{criterion}")
        self.max_path_tokens = max_path_tokens
        for pieces in (*self._turns.values(), self._response):
            if pieces[-1].control is None:
                raise ValueError(f"template {template.name}: turn and response must end with a special token")

    def render(
        self,
        turns: Sequence[Message],
        responses: Sequence[str],
        criteria: Sequence[str],
        truncation: Truncation = "none",
    ) -> Rendered:
        """Render one item; responses and criteria must not be empty."""
        turns, responses = self._precut(turns, responses, truncation)
        huge = self._too_huge(turns, responses, criteria, truncation)
        kept = [index for index in range(len(responses)) if index not in huge]
        if not kept:
            return Rendered(trees=(), too_long=huge, truncated=frozenset())
        prompt, leaves, bodies = self._encode(turns, [responses[index] for index in kept], criteria)
        cutter = _Cutter(prompt, leaves, self.max_path_tokens, truncation)
        by_prompt: dict[Tokens, list[tuple[int, Tokens]]] = defaultdict(list)
        too_long, truncated = dict(huge), set()
        for index, body in zip(kept, bodies, strict=True):
            fitted = cutter.fit(body)
            if isinstance(fitted, TooLong):
                too_long[index] = fitted
                continue
            by_prompt[fitted[0]].append((index, fitted[1]))
            if (len(fitted[0]), len(fitted[1])) != (len(prompt.ids), len(body.ids)):
                truncated.add(index)
        trees = tuple(_tree(root, members, leaves) for root, members in by_prompt.items())
        return Rendered(trees=trees, too_long=too_long, truncated=frozenset(truncated))

    def _precut(
        self, turns: Sequence[Message], responses: Sequence[str], truncation: Truncation
    ) -> tuple[Sequence[Message], Sequence[str]]:
        """Where cutting is asked for, drop text so far out that it would be cut anyway, before it costs anything."""
        most = self.max_path_tokens + _CUT_MARGIN
        if truncation == "response_end":
            return turns, [self._encoder.bound.first(text, most) for text in responses]
        if truncation == "prompt_start":
            return self._last_turns(turns, most), responses
        return turns, responses

    def _last_turns(self, turns: Sequence[Message], most: int) -> list[Message]:
        """The conversation without what stands before its last `most` tokens; every turn stays, maybe empty."""
        kept: list[Message] = []
        for turn in reversed(turns):
            content = self._encoder.bound.last(turn.content, most) if most > 0 else ""
            most -= self._least(content)
            kept.append(replace(turn, content=content))
        return kept[::-1]

    def _least(self, text: str) -> int:
        return self._encoder.bound.least_tokens(text, self.max_path_tokens + 1)

    def _encode(
        self, turns: Sequence[Message], responses: Sequence[str], criteria: Sequence[str]
    ) -> tuple[Encoded, tuple[Tokens, ...], list[Encoded]]:
        pieces: list[Piece] = list(self._begin)
        for index, turn in enumerate(turns):
            pieces += [*(self._between if index else ()), *self._turns[turn.role]]
        nodes = [(pieces, [turn.content for turn in turns])]
        nodes += [(list(self._criterion), [text]) for text in criteria]
        nodes += [(list(self._response), [text]) for text in responses]
        encoded = self._encoder.encode(nodes)
        leaves = tuple(node.ids for node in encoded[1 : 1 + len(criteria)])
        return encoded[0], leaves, encoded[1 + len(criteria) :]

    def _too_huge(
        self, turns: Sequence[Message], responses: Sequence[str], criteria: Sequence[str], truncation: Truncation
    ) -> dict[int, TooLong]:
        """Responses that cannot fit whatever the tokenizer does, found by counting bytes only; not what is cut."""
        if sum(len(turn.content) for turn in turns) + sum(map(len, (*responses, *criteria))) <= _CHEAP_CHARACTERS:
            return {}
        prompt = sum(self._least(turn.content) for turn in turns)
        criterion = max(map(self._least, criteria))
        huge: dict[int, TooLong] = {}
        for index, text in enumerate(responses):
            why = TooLong(
                prompt_tokens=prompt,
                response_tokens=self._least(text),
                criterion_tokens=criterion,
                limit=self.max_path_tokens,
                at_least=True,
            )
            cut = {"none": 0, "response_end": why.response_tokens, "prompt_start": prompt}[truncation]
            if why.tokens - cut > self.max_path_tokens:
                huge[index] = why
        return huge


class _Cutter:
    """Makes one response's path fit, by the rule that the caller chose."""

    def __init__(self, prompt: Encoded, leaves: Sequence[Tokens], limit: int, truncation: Truncation) -> None:
        self._prompt = prompt
        self._longest_leaf = max(map(len, leaves))
        self._limit = limit
        self._truncation = truncation

    def fit(self, body: Encoded) -> tuple[Tokens, Tokens] | TooLong:
        """Prompt and response ids that fit, or the numbers that say why not."""
        prompt, response = self._prompt, body
        excess = len(prompt.ids) + len(response.ids) - (self._limit - self._limit // _LEAF_RESERVE)
        if excess > 0 and self._truncation == "response_end":
            response = _without_last(response, excess)
        if excess > 0 and self._truncation == "prompt_start":
            prompt = _without_first(prompt, excess)
        if len(prompt.ids) + len(response.ids) + self._longest_leaf > self._limit:
            return TooLong(
                prompt_tokens=len(self._prompt.ids),
                response_tokens=len(body.ids),
                criterion_tokens=self._longest_leaf,
                limit=self._limit,
            )
        return prompt.ids, response.ids


def _without_first(node: Encoded, count: int) -> Encoded:
    """The node without its first `count` content tokens; markup and at least one content token stay."""
    positions = [position for position, inside in enumerate(node.content) if inside]
    dropped = set(positions[: min(count, len(positions) - 1)])
    kept = [position for position in range(len(node.ids)) if position not in dropped]
    return Encoded(ids=tuple(node.ids[p] for p in kept), content=tuple(node.content[p] for p in kept))


def _without_last(node: Encoded, count: int) -> Encoded:
    mirrored = _without_first(Encoded(ids=node.ids[::-1], content=node.content[::-1]), count)
    return Encoded(ids=mirrored.ids[::-1], content=mirrored.content[::-1])


def _tree(prompt: Tokens, members: Sequence[tuple[int, Tokens]], leaves: tuple[Tokens, ...]) -> RenderedTree:
    return RenderedTree(
        tree=TokenTree(prompt=prompt, branches=tuple(Branch(response=ids, leaves=leaves) for _, ids in members)),
        responses=tuple(index for index, _ in members),
    )
