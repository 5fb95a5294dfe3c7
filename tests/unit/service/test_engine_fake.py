"""The fake engine: the same tree gets the same scores, in any company and any process."""

import subprocess
import sys

from models import random_tree
from promedical.messages import Message
from promedical_service.engines.fake import FakeEngine, fake_renderer

TREES = [random_tree(n, [(3 * n, [n, 2]), (5, [1])], seed=n) for n in (1, 4, 40)]
_IN_ANOTHER_PROCESS = """
import asyncio
from promedical_model.tree.token_tree import Branch, TokenTree
from promedical_service.engines.fake import FakeEngine
tree = TokenTree((1, 2), (Branch((3,), ((4,), (5, 6))),))
print(asyncio.run(FakeEngine().score([tree])))
"""


async def test_fake_engine_scores_do_not_depend_on_company_or_order() -> None:
    together = await FakeEngine().score(TREES)
    alone = [branch for tree in TREES for branch in await FakeEngine().score([tree])]
    backwards = await FakeEngine().score(TREES[::-1])

    assert together == alone
    assert backwards == [*together[4:], *together[2:4], *together[:2]]


async def test_fake_engine_scores_are_many_finite_numbers_within_their_range() -> None:
    trees = [random_tree(3, [(4, [2] * 20)], seed=seed) for seed in range(10)]

    logits = [logit for branch in await FakeEngine().score(trees) for logit in branch]

    assert all(-4 <= logit <= 4 for logit in logits)
    assert len(set(logits)) > 190
    assert min(logits) < -2
    assert max(logits) > 2


async def test_fake_engine_score_depends_on_prompt_response_and_criterion() -> None:
    renderer = fake_renderer()
    found = set()
    for prompt, response, criterion in (("a", "b", "c"), ("x", "b", "c"), ("a", "x", "c"), ("a", "b", "x")):
        rendered = renderer.render([Message(role="user", content=prompt)], [response], [criterion])
        found |= set(await FakeEngine().score([rendered.trees[0].tree]))

    assert len(found) == 4


def test_fake_engine_scores_are_the_same_in_every_process() -> None:
    runs = {
        subprocess.run([sys.executable, "-c", _IN_ANOTHER_PROCESS], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }

    assert len(runs) == 1
    assert runs.pop().startswith("[(")
