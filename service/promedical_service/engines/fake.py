"""The fake engine: deterministic scores from a hash of each path. For tests, load tests and trying things out only.

Rendering, batching and everything around them are real; only the model is missing. `/v1/model` and every
fingerprint say so.
"""

import asyncio
import hashlib
from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.rendering.template import CHATML
from promedical_model.rendering.text_encoder import TextEncoder
from promedical_model.tree.token_tree import Tokens, TokenTree
from promedical_service.engines.base import BranchScores

_LOGIT_RANGE = 4.0


class FakeEngine:
    """Scores from a hash, in [-4, 4].

    Args:
        tokens_per_s: The speed to imitate, for load tests; None for as fast as possible.
    """

    kind = "fake"
    dtype = "none"
    overtakes = False

    def __init__(self, *, tokens_per_s: float | None = None) -> None:
        self._tokens_per_s = tokens_per_s

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        if self._tokens_per_s is not None:
            await asyncio.sleep(sum(tree.unique_tokens for tree in trees) / self._tokens_per_s)
        return await asyncio.to_thread(_scores, list(trees))

    async def close(self) -> None:
        """Do nothing, since there is nothing to stop."""


def fake_renderer(max_path_tokens: int = 8192) -> PromptRenderer:
    """A renderer with ChatML and one token per byte, which needs no model file."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: index for index, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>")])
    return PromptRenderer(CHATML, TextEncoder(tokenizer), max_path_tokens)


def _scores(trees: Sequence[TokenTree]) -> list[BranchScores]:
    return [
        tuple(_logit(tree.prompt, branch.response, leaf) for leaf in branch.leaves)
        for tree in trees
        for branch in tree.branches
    ]


def _logit(*path: Tokens) -> float:
    digest = hashlib.blake2b(repr(path).encode(), digest_size=8).digest()
    return (int.from_bytes(digest) / 2**64 * 2 - 1) * _LOGIT_RANGE
