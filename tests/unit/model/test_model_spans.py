"""Spans: the three lists cover what every token of a row may read, and attention over them is that over segments."""

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import random_tree
from promedical_model.tree.attention import attend_by_spans, flash, runs_on_flash, tree_attention
from promedical_model.tree.packing import pack
from promedical_model.tree.spans import RowSpans, Spans
from promedical_model.tree.token_tree import TokenTree

CPU = torch.device("cpu")
HEADS, KEY_VALUE_HEADS, SIZE = 4, 2, 8

_LENGTH = st.integers(1, 9)
_BRANCH = st.tuples(_LENGTH, st.lists(_LENGTH, min_size=1, max_size=3))
_TREE = st.builds(
    random_tree, prompt=_LENGTH, branches=st.lists(_BRANCH, min_size=1, max_size=3), seed=st.integers(0, 9)
)
_TREES = st.lists(_TREE, min_size=1, max_size=3)


def sequences(spans: Spans) -> list[tuple[list[int], list[int]]]:
    """Row indices of the queries and of the keys of every sequence."""
    queries, keys = (
        [indices[start:stop].tolist() for start, stop in pairwise(ends)]
        for indices, ends in (
            (spans.queries, spans.query_ends.tolist()),
            (spans.keys, spans.key_ends.tolist()),
        )
    )
    return list(zip(queries, keys, strict=True))


def lists(spans: RowSpans) -> tuple[Spans, Spans, Spans]:
    return spans.itself, spans.prompts, spans.responses


def reads(spans: RowSpans) -> dict[int, list[int]]:
    """Which row indices each row index attends to."""
    found: dict[int, list[int]] = {}
    for each in lists(spans):
        for queries, keys in sequences(each):
            for query in queries:
                found.setdefault(query, []).extend(key for key in keys if not each.causal or key <= query)
    return {query: sorted(keys) for query, keys in found.items()}


def by_softmax(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: Spans, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the flash kernel does, word for word, sequence by sequence."""
    attended, lses = [], []
    groups = queries.shape[1] // keys.shape[1]
    query_ends, key_ends = spans.query_ends.tolist(), spans.key_ends.tolist()
    for n in range(len(query_ends) - 1):
        own = queries[query_ends[n] : query_ends[n + 1]] * scaling
        key, value = (each[key_ends[n] : key_ends[n + 1]].repeat_interleave(groups, dim=1) for each in (keys, values))
        scores = torch.einsum("qhd,khd->qhk", own, key)
        if spans.causal:
            scores = scores + torch.full((len(own), len(own)), float("-inf")).triu(1)[:, None]
        attended.append(torch.einsum("qhk,khd->qhd", scores.softmax(-1), value))
        lses.append(scores.logsumexp(-1))
    return torch.cat(attended), torch.cat(lses)


@settings(max_examples=40)
@given(_TREES)
def test_spans_let_each_token_read_its_own_path_and_nothing_else(trees: list[TokenTree]) -> None:
    row = pack(trees, device=CPU, dtype=torch.float32)
    ids, positions = row.input_ids[0].tolist(), row.position_ids[0].tolist()

    seen = reads(row.layout.spans)

    assert row.layout.spans.itself.queries.tolist() == list(range(len(ids)))
    assert sorted(seen) == list(range(len(ids)))
    paths = [path for tree in trees for path in tree.paths()]
    assert [tuple(ids[key] for key in seen[end]) for end in row.leaf_ends.tolist()] == paths
    for query, keys in seen.items():
        assert [positions[key] for key in keys] == list(range(positions[query] + 1))


@settings(max_examples=40)
@given(_TREES)
def test_spans_say_their_longest_sequences(trees: list[TokenTree]) -> None:
    for each in lists(pack(trees, device=CPU, dtype=torch.float32).layout.spans):
        queries, keys = zip(*sequences(each), strict=True)
        assert each.longest_query == max(map(len, queries))
        assert each.longest_key == max(map(len, keys))


@settings(max_examples=25)
@given(trees=_TREES, seed=st.integers(0, 99))
def test_attention_over_spans_equals_attention_over_segments(trees: list[TokenTree], seed: int) -> None:
    layout = pack(trees, device=CPU, dtype=torch.float32).layout
    length = sum(tree.unique_tokens for tree in trees)
    torch.manual_seed(seed)
    query, key, value = (torch.randn(1, heads, length, SIZE) for heads in (HEADS, KEY_VALUE_HEADS, KEY_VALUE_HEADS))

    expected, _ = tree_attention(torch.nn.Module(), query, key, value, None, tree=layout)
    found = attend_by_spans(query, key, value, layout.spans, SIZE**-0.5, by_softmax)

    assert found.shape == expected.shape == (1, length, HEADS, SIZE)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_flash_is_called_as_its_operator_is_declared() -> None:
    """On the meta device torch checks the arguments and says the shapes, without a GPU."""
    meta = torch.device("meta")
    trees = [random_tree(4, [(3, [2, 2])]), random_tree(1, [(1, [1])])]
    spans = pack(trees, device=meta, dtype=torch.bfloat16).layout.spans
    length = sum(tree.unique_tokens for tree in trees)
    query, key, value = (
        torch.empty(1, heads, length, SIZE, dtype=torch.bfloat16, device=meta)
        for heads in (HEADS, KEY_VALUE_HEADS, KEY_VALUE_HEADS)
    )

    attended, lse = flash(query[0].transpose(0, 1), key[0].transpose(0, 1), value[0].transpose(0, 1), spans.itself, 1.0)

    assert (attended.shape, attended.dtype) == ((length, HEADS, SIZE), torch.bfloat16)
    assert (lse.shape, lse.dtype) == ((length, HEADS), torch.float32)
    assert attend_by_spans(query, key, value, spans, 1.0, flash).shape == (1, length, HEADS, SIZE)


def test_flash_is_not_for_a_cpu_and_not_for_training() -> None:
    tensors = [torch.empty(1, HEADS, 3, SIZE, dtype=torch.bfloat16)] * 3

    with torch.inference_mode():
        assert not runs_on_flash(*tensors)
    assert not runs_on_flash(*(each.to("meta") for each in tensors))
