"""Cutting: bounded branches for the engine, one answer per response for the caller."""

from hypothesis import given
from hypothesis import strategies as st

from gated import FAILED, rig, scores_of, settle
from promedical_model.tree.token_tree import Branch, TokenTree
from promedical_service.batching.cutting import BRANCH_LEAF_TOKENS, cut
from promedical_service.types import Caller


def tree_of(leaf_sizes: list[int], responses: int = 2) -> TokenTree:
    """Every leaf begins with its own number, and is as long as told."""
    leaves = tuple((number,) * size for number, size in enumerate(leaf_sizes))
    return TokenTree(
        prompt=(0,) * 4, branches=tuple(Branch(response=(1, index), leaves=leaves) for index in range(responses))
    )


LARGE = [BRANCH_LEAF_TOKENS // 2] * 5


@given(sizes=st.lists(st.sampled_from([1, 700, 1024, BRANCH_LEAF_TOKENS, 5000]), min_size=1, max_size=12))
def test_cut_bounds_every_branch_and_keeps_every_path(sizes: list[int]) -> None:
    tree = tree_of(sizes)
    found = cut(tree)
    assert found.tree.paths() == tree.paths()
    assert sum(found.pieces) == len(found.tree.branches)
    for branch in found.tree.branches:
        assert sum(map(len, branch.leaves)) <= BRANCH_LEAF_TOKENS or len(branch.leaves) == 1


def test_cut_leaves_a_tree_alone_whose_branches_are_small_enough() -> None:
    tree = tree_of([BRANCH_LEAF_TOKENS])
    assert cut(tree).tree is tree


async def test_batcher_answers_a_response_with_many_criteria_as_one() -> None:
    tree = tree_of(LARGE)
    async with rig() as r:
        (job,) = r.admit(tree)
        await settle()
        (sent,) = r.engine.batches[0]
        assert len(sent.branches) == 6
        await r.engine.answer()
        assert job.future.result().branches == tuple(scores_of(tree))
        assert job.future.result().tokens_computed == sent.unique_tokens > tree.unique_tokens


async def test_batcher_fails_only_the_response_of_which_a_piece_failed() -> None:
    tree = tree_of(LARGE)
    async with rig() as r:
        (job,) = r.admit(tree)
        await settle()
        scores = scores_of(r.engine.batches[0][0])
        await r.engine.answer([scores[0], FAILED, *scores[2:]])
        assert job.future.result().branches == (FAILED, scores_of(tree)[1])


async def test_admission_counts_the_tokens_that_the_engine_will_compute() -> None:
    tree = tree_of(LARGE)
    computed = cut(tree).tree.unique_tokens
    assert computed > tree.unique_tokens
    async with rig(start=False) as r:
        with r.admission.reserved(10, "interactive", Caller(key="k"), timeout_s=100) as reservation:
            reservation.correct(10, [tree])
            assert reservation.tokens == computed
        r.admit(tree)
        assert r.waiting_tokens == computed
