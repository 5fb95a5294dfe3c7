"""The token tree as plain data: counts, parts, rows, and the layout of a packed row."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import random_tree
from promedical_model.tree.packing import Segment, pack
from promedical_model.tree.token_tree import Branch, TokenTree, pack_rows

_LENGTH = st.integers(1, 9)
_SHAPE = st.tuples(
    _LENGTH, st.lists(st.tuples(_LENGTH, st.lists(_LENGTH, min_size=1, max_size=4)), min_size=1, max_size=4)
)
_TREE = _SHAPE.map(lambda shape: random_tree(*shape, seed=sum(shape[0] + r for r, _ in shape[1])))
_TREES = st.lists(_TREE, min_size=1, max_size=4)
_SOME = settings(max_examples=40)


def _long_leaves(count: int, length: int) -> TokenTree:
    return TokenTree(prompt=(1, 2), branches=(Branch(response=(3,), leaves=((4,) * length,) * count),))


@_SOME
@given(_TREE)
def test_token_tree_counts_unique_and_flat_tokens(tree: TokenTree) -> None:
    leaves = [leaf for branch in tree.branches for leaf in branch.leaves]

    assert tree.leaf_count == len(leaves)
    assert tree.flat_tokens == sum(map(len, tree.paths()))
    assert tree.unique_tokens == len(tree.prompt) + sum(len(b.response) for b in tree.branches) + sum(map(len, leaves))


def test_token_tree_counts_are_those_of_the_design_table() -> None:
    branch = Branch(response=(1,) * 300, leaves=((1,) * 30,) * 12)
    tree = TokenTree(prompt=(1,) * 120, branches=(branch,) * 8)

    assert (tree.flat_tokens, tree.unique_tokens, tree.leaf_count) == (43_200, 5_400, 96)


@_SOME
@given(_TREES, st.integers(1, 80))
def test_pack_rows_keeps_every_branch_in_order_with_its_own_prompt(trees: list[TokenTree], budget: int) -> None:
    rows = pack_rows(trees, budget)

    packed = [(part.prompt, branch) for row in rows for part in row for branch in part.branches]
    assert packed == [(tree.prompt, branch) for tree in trees for branch in tree.branches]
    assert all(part.branches for row in rows for part in row)


@_SOME
@given(_TREES, st.integers(1, 80))
def test_pack_rows_exceeds_the_budget_only_for_a_branch_alone(trees: list[TokenTree], budget: int) -> None:
    for row in pack_rows(trees, budget):
        tokens = sum(part.unique_tokens for part in row)
        assert tokens <= budget or sum(len(part.branches) for part in row) == 1


@_SOME
@given(_TREES, st.integers(1, 80))
def test_pack_rows_starts_a_row_only_when_the_last_is_full(trees: list[TokenTree], budget: int) -> None:
    rows = pack_rows(trees, budget)

    for before, after in itertools.pairwise(rows):
        first = after[0]
        shares_prompt = any(
            tree.branches[i - 1 : i + 1] == (before[-1].branches[-1], first.branches[0])
            for tree in trees
            for i in range(1, len(tree.branches))
        )
        prompt = 0 if shares_prompt else len(first.prompt)
        assert sum(part.unique_tokens for part in before) + prompt + first.branches[0].tokens > budget


def test_pack_rows_leaves_nothing_beside_an_overlong_branch() -> None:
    long = TokenTree(prompt=(1,), branches=(Branch(response=(2,) * 20, leaves=((3,),)),) * 2)
    short = TokenTree(prompt=(4,), branches=(Branch(response=(5,), leaves=((6,),)),))

    assert pack_rows([long, short], 10) == [[long.part(0, 1)], [long.part(1, 2)], [short]]


def test_pack_rows_of_nothing_is_nothing() -> None:
    assert pack_rows([], 10) == []


@_SOME
@given(_TREES)
def test_pack_restarts_positions_where_the_parent_ends(trees: list[TokenTree]) -> None:
    row = pack(trees, device=torch.device("cpu"), dtype=torch.float32)

    ids, positions = row.input_ids[0].tolist(), row.position_ids[0].tolist()
    assert len(ids) == sum(tree.unique_tokens for tree in trees)
    paths = [path for tree in trees for path in tree.paths()]
    assert [positions[end] + 1 for end in row.leaf_ends.tolist()] == [len(path) for path in paths]
    assert [ids[end] for end in row.leaf_ends.tolist()] == [path[-1] for path in paths]


@_SOME
@given(_TREES)
def test_pack_lets_each_token_see_its_own_path_and_nothing_else(trees: list[TokenTree]) -> None:
    row = pack(trees, device=torch.device("cpu"), dtype=torch.float32)

    ids, positions = row.input_ids[0].tolist(), row.position_ids[0].tolist()
    seen = {query: keys for segment in row.layout.segments for query, keys in _seen(segment)}
    assert sorted(seen) == list(range(len(ids)))
    paths = iter([path for tree in trees for path in tree.paths()])
    for end in row.leaf_ends.tolist():
        assert tuple(ids[key] for key in seen[end]) == next(paths)
    for query, keys in seen.items():
        assert keys[-1] == query
        assert [positions[key] for key in keys] == list(range(positions[query] + 1))


@_SOME
@given(_TREES)
def test_pack_covers_every_query_exactly_once(trees: list[TokenTree]) -> None:
    segments = pack(trees, device=torch.device("cpu"), dtype=torch.float32).layout.segments

    queries = [query for segment in segments for query in range(segment.start, segment.stop)]
    assert queries == list(range(sum(tree.unique_tokens for tree in trees)))


def test_pack_keeps_the_masks_of_many_leaves_small() -> None:
    segments = pack([_long_leaves(40, 30)], device=torch.device("cpu"), dtype=torch.float32).layout.segments

    widest = max(segment.mask.numel() for segment in segments if segment.mask is not None)
    assert widest < (40 * 30) ** 2 / 20


def _seen(segment: Segment) -> list[tuple[int, list[int]]]:
    """Which row indices each query of a segment attends to."""
    keys = [key for start, stop in segment.keys for key in range(start, stop)]
    queries = range(segment.start, segment.stop)
    if segment.mask is None:
        assert keys == list(queries)
        return [(query, keys[: index + 1]) for index, query in enumerate(queries)]
    assert segment.mask.shape == (len(queries), len(keys))
    return [
        (query, [key for key, added in zip(keys, row, strict=True) if added == 0])
        for query, row in zip(queries, segment.mask.tolist(), strict=True)
    ]
