"""Passes: however a step is cut, over passes or ranks, loss and gradients are those of independent sequences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch

from labelled import a_criterion, a_prompt, a_response, judged, with_opposite_polarity
from models import FAMILIES, Family, tiny_bundle
from promedical.rubric import Dimension
from promedical_data.labelled import LabelledPrompt
from promedical_model.bundle.bundle import open_bundle
from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.tree.attention import TREE_ATTENTION
from promedical_model.tree.token_tree import TokenTree
from promedical_model.tree.tree_model import TreeModel
from promedical_trainer.rm import throughput
from promedical_trainer.rm.backbone import trainable_model
from promedical_trainer.rm.encoding import encode
from promedical_trainer.rm.expansion import Expansion, Group
from promedical_trainer.rm.loss_weights import LossWeights
from promedical_trainer.rm.objective import eci_loss
from promedical_trainer.rm.passes import Pass, step_passes
from promedical_trainer.rm.recipe import Adapter, RecipeError
from promedical_trainer.rm.throughput import measure

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Adapter(rank=4, alpha=8)
TOLERANCE = 1e-4
UNEQUAL = [
    judged("a", responses=5, criteria=6, unlabelled=2),
    judged("b", responses=2, criteria=1),
    judged("c", responses=3, criteria=4),
    a_prompt("d", [a_criterion("x")], [a_response("only", {"x": True})]),
]
SINGLE = [judged(name, responses=2, criteria=1) for name in "ab"]
WEIGHTS = LossWeights(pointwise=0.3, center=0.05, dimensions={Dimension.SAFETY: 2.0, Dimension.EXCELLENCE: 0.5})

Gradients = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Tiny:
    """A tiny bundle."""

    folder: Path

    @cached_property
    def renderer(self) -> PromptRenderer:
        return open_bundle(str(self.folder)).renderer()

    def model(self, adapter: Adapter | None, *, checkpointing: bool = False) -> TreeModel:
        """Trainable, with an adapter that already does something: at its start half of its gradients are zero."""
        model = trainable_model(
            open_bundle(str(self.folder)), adapter, dtype=torch.float32, checkpointing=checkpointing
        )
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        return model.train()


@pytest.fixture(scope="module", params=FAMILIES)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tiny_bundle(tmp_path_factory.mktemp("bundle"), request.param))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """For what does not depend on the architecture."""
    return Tiny(tiny_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def groups_of(prompts: Sequence[LabelledPrompt], **settings: Any) -> list[Group]:
    return Expansion(**{"responses_per_tree": 3, **settings}).groups(prompts, seed=1, epoch=0)


def gradients(model: TreeModel) -> Gradients:
    found = {name: each.grad.clone() for name, each in model.named_parameters() if each.requires_grad}
    model.zero_grad()
    return found


def by_trees(model: TreeModel, passes: Sequence[Pass]) -> tuple[float, Gradients]:
    losses = [eci_loss(model(part.trees), part.targets).total for part in passes]
    for loss in losses:
        loss.backward()
    return sum(loss.item() for loss in losses), gradients(model)


def path_logits(model: TreeModel, paths: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """One forward per path."""
    ends = [model.decoder(input_ids=torch.tensor([path]), use_cache=False).last_hidden_state[0, -1] for path in paths]
    return torch.stack(ends).float() @ model.head


def by_sequences(
    model: TreeModel, groups: Sequence[Group], renderer: PromptRenderer, weights: LossWeights
) -> tuple[float, Gradients]:
    """The loss written out sample by sample, as the paper states it, through transformers' own attention."""
    model.decoder.set_attn_implementation("sdpa")
    total_pairs = sum(weights.of(group.criteria[pair.criterion].dimension) for group in groups for pair in group.pairs)
    total_labels = sum(1 for group in groups for _ in group.labels())
    loss = torch.zeros(())
    for group in groups:
        logits = path_logits(model, every_path(group, renderer)).reshape(len(group.responses), len(group.criteria))
        for pair in group.pairs:
            won, lost = logits[pair.winner, pair.criterion], logits[pair.loser, pair.criterion]
            share = weights.of(group.criteria[pair.criterion].dimension) / total_pairs
            loss = loss - share * weights.pairwise * torch.nn.functional.logsigmoid(won - lost)
            if not pair.labelled:
                loss = loss + share * weights.center * (won + lost) ** 2
        for row, response in enumerate(group.responses):
            for column, criterion in enumerate(group.criteria):
                if criterion.id in response.labels:
                    sign = 1 if response.labels[criterion.id].met else -1
                    point = torch.nn.functional.logsigmoid(sign * logits[row, column])
                    loss = loss - weights.pointwise / total_labels * point
    loss.backward()
    return loss.item(), gradients(model)


def passes_of(groups: Sequence[Group], tiny: Tiny, **options: Any) -> list[list[Pass]]:
    """The passes of a step by rank, of text that was encoded before."""
    return step_passes(groups, encode([group.prompt for group in groups], tiny.renderer), WEIGHTS, **options)


def tree_of(group: Group, tiny: Tiny) -> TokenTree:
    return encode([group.prompt], tiny.renderer).tree(group)


def every_path(group: Group, renderer: PromptRenderer) -> list[tuple[int, ...]]:
    """Each response and criterion rendered alone."""
    return [
        renderer.render(group.prompt.turns, [response.text], [criterion.text]).trees[0].tree.paths()[0]
        for response in group.responses
        for criterion in group.criteria
    ]


def assert_same(ours: Gradients, theirs: Gradients) -> None:
    largest = max(each.norm().item() for each in theirs.values())
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        # A gradient that is 0 but for rounding, such as a key's bias, has no relative error.
        error = (ours[name] - expected).norm().item() / max(expected.norm().item(), 1e-3 * largest)
        assert error < TOLERANCE, f"{name}: {error}"


def flattened(ranks: Sequence[Sequence[Pass]]) -> list[Pass]:
    return [part for passes in ranks for part in passes]


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("adapter", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("prompts", [SINGLE, UNEQUAL], ids=["one criterion", "unequal"])
def test_step_equals_independent_sequences(
    tiny: Tiny,
    prompts: list[LabelledPrompt],
    adapter: Adapter | None,
    checkpointing: bool,  # noqa: FBT001
) -> None:
    groups = groups_of(prompts)
    model = tiny.model(adapter, checkpointing=checkpointing)
    assert any(not pair.labelled for group in groups for pair in group.pairs) == (prompts is UNEQUAL)
    expected, theirs = by_sequences(tiny.model(adapter), groups, tiny.renderer, WEIGHTS)

    passes = passes_of(groups, tiny, tokens_per_pass=700)
    loss, ours = by_trees(model, passes[0])

    assert loss == pytest.approx(expected, rel=1e-5)
    assert_same(ours, theirs)
    assert max(each.norm() for each in ours.values()) > 1e-2


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("tokens_per_pass", [1, 400, 900, 100_000])
def test_step_is_the_same_however_it_is_cut(llama: Tiny, tokens_per_pass: int, ranks: int) -> None:
    prompts = [*UNEQUAL, *(judged(name, responses=2, criteria=2) for name in "ef")]
    groups = groups_of(prompts)[:6]
    model = llama.model(LORA)
    expected, theirs = by_trees(model, passes_of(groups, llama, tokens_per_pass=100_000)[0])

    parts = passes_of(groups, llama, tokens_per_pass=tokens_per_pass, world_size=ranks)
    loss, ours = by_trees(model, flattened(parts))

    assert len(groups) == 6
    assert loss == pytest.approx(expected, rel=1e-5)
    assert_same(ours, theirs)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("tokens_per_pass", [1, 600, 5000])
def test_step_holds_each_group_once_and_gives_ranks_equally_many_passes(
    llama: Tiny, tokens_per_pass: int, ranks: int
) -> None:
    prompts = [judged(name, responses=2 + index % 3, criteria=1 + index) for index, name in enumerate("abcdef")]
    groups = groups_of(prompts, responses_per_tree=9)
    trees = [tree_of(group, llama) for group in groups]

    parts = passes_of(groups, llama, tokens_per_pass=tokens_per_pass, world_size=ranks)

    assert len(parts) == ranks
    assert len({len(passes) for passes in parts}) == 1
    placed = [tree for part in flattened(parts) for tree in part.trees]
    assert sorted(placed, key=repr) == sorted(trees, key=repr)
    for part in flattened(parts):
        assert part.tokens <= tokens_per_pass or len(part.trees) == 1
        assert part.leaves == sum(tree.leaf_count for tree in part.trees)


@pytest.mark.parametrize(
    ("weights", "reads"),
    [
        (LossWeights(pointwise=0), True),
        (LossWeights(pairwise=0), True),
        (LossWeights(pointwise=0, dimensions={Dimension.SAFETY: 0}), True),
        (LossWeights(pointwise=0, dimensions=dict.fromkeys(Dimension, 0.0)), False),
        (LossWeights(dimensions=dict.fromkeys(Dimension, 0.0)), True),
    ],
)
def test_loss_reads_what_weighs_something(weights: LossWeights, reads: bool) -> None:  # noqa: FBT001
    assert [weights.reads(group) for group in groups_of([UNEQUAL[2]])] == [reads]


@pytest.mark.parametrize(("weights", "reads"), [(LossWeights(), True), (LossWeights(pointwise=0), False)])
def test_loss_without_pairs_reads_labels_only(weights: LossWeights, reads: bool) -> None:  # noqa: FBT001
    assert [weights.reads(group) for group in groups_of([UNEQUAL[3]])] == [reads]


def test_step_fills_passes_instead_of_running_every_group_alone(llama: Tiny) -> None:
    groups = groups_of([judged(name, responses=2, criteria=2) for name in "abcdefgh"])
    tokens = [tree_of(group, llama).unique_tokens for group in groups]

    (passes,) = passes_of(groups, llama, tokens_per_pass=4 * max(tokens))

    assert len(passes) == 2


def test_step_with_fewer_trees_than_ranks_gives_the_others_passes_that_teach_nothing(llama: Tiny) -> None:
    groups = groups_of(SINGLE[:1])

    by_rank = passes_of(groups, llama, tokens_per_pass=100, world_size=2)

    assert [len(passes) for passes in by_rank] == [1, 1]
    assert [len(passes[0].targets.labelled) > 0 for passes in by_rank] == [True, False]
    assert not len(by_rank[1][0].targets.winners)


def test_step_weights_of_pairs_and_labels_add_up_to_those_of_the_loss(llama: Tiny) -> None:
    groups = groups_of(UNEQUAL)

    parts = flattened(passes_of(groups, llama, tokens_per_pass=1))

    unlabelled = sum(
        WEIGHTS.of(group.criteria[pair.criterion].dimension)
        for group in groups
        for pair in group.pairs
        if not pair.labelled
    )
    total = sum(WEIGHTS.of(group.criteria[pair.criterion].dimension) for group in groups for pair in group.pairs)
    assert sum(part.targets.pair_weights.sum().item() for part in parts) == pytest.approx(WEIGHTS.pairwise)
    assert sum(part.targets.label_weights.sum().item() for part in parts) == pytest.approx(WEIGHTS.pointwise)
    assert sum(part.targets.center_weights.sum().item() for part in parts) == pytest.approx(
        WEIGHTS.center * unlabelled / total
    )


def test_step_without_pairs_trains_the_pointwise_term_alone(llama: Tiny) -> None:
    (passes,) = passes_of(groups_of(UNEQUAL[3:]), llama, tokens_per_pass=1)

    loss = eci_loss(torch.zeros(1, requires_grad=True), passes[0].targets)

    assert (loss.pairwise.item(), loss.accuracy.item()) == (0.0, 0.0)
    assert loss.total.item() == pytest.approx(WEIGHTS.pointwise * 0.693147)


@pytest.mark.parametrize("family", FAMILIES)
def test_step_of_flipped_polarity_has_the_same_loss_and_gradients(tmp_path: Path, family: Family) -> None:
    tiny = Tiny(tiny_bundle(tmp_path, family))
    model = tiny.model(None)
    flipped = [with_opposite_polarity(prompt) for prompt in UNEQUAL]
    assert flipped != UNEQUAL

    loss, ours = by_trees(model, passes_of(groups_of(UNEQUAL), tiny, tokens_per_pass=900)[0])
    other, theirs = by_trees(model, passes_of(groups_of(flipped), tiny, tokens_per_pass=900)[0])

    assert loss == other
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def long_group(criteria: int = 64) -> Group:
    """More criterion tokens than a service scores in one go; labels tell every leaf's own place."""
    named = [a_criterion(f"c{index}", text=f"{index} " + "paracetamol fever " * 12) for index in range(criteria)]
    labels = [{each.id: (row + index) % 2 == 0 for index, each in enumerate(named)} for row in range(3)]
    prompt = a_prompt("long", named, [a_response(f"r{row}", met) for row, met in enumerate(labels)])
    (group,) = groups_of([prompt], criteria_per_tree=criteria, pairs_per_criterion=99)
    return group


def test_group_with_many_criteria_keeps_every_leaf_in_place(llama: Tiny) -> None:
    group = long_group()

    tree = tree_of(group, llama)

    assert [len(branch.leaves) for branch in tree.branches] == [len(group.criteria)] * len(group.responses)
    assert tree.paths() == every_path(group, llama.renderer)


def test_group_with_many_criteria_trains_as_independent_sequences_do(llama: Tiny) -> None:
    group = long_group()
    expected, theirs = by_sequences(llama.model(LORA), [group], llama.renderer, WEIGHTS)

    loss, ours = by_trees(llama.model(LORA), passes_of([group], llama, tokens_per_pass=100)[0])

    assert loss == pytest.approx(expected, rel=1e-5)
    assert_same(ours, theirs)


def test_tree_of_a_response_that_does_not_fit_names_the_prompt_and_not_the_text(llama: Tiny) -> None:
    (group,) = groups_of([judged("a", responses=2, criteria=1)])
    huge = replace(group, responses=tuple(replace(each, text="fever " * 5000) for each in group.responses))
    encoded = encode([group.prompt, replace(group.prompt, responses=huge.responses)], llama.renderer)

    with pytest.raises(ValueError, match="prompt a: ") as caught:
        encoded.tree(huge)
    assert "fever" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_trees_of_every_epoch_are_those_of_text_rendered_again(llama: Tiny) -> None:
    """Other responses and criteria each time, from the tokens of one encoding."""
    prompts = [judged(str(index), responses=5, criteria=6) for index in range(3)]
    expansion = Expansion(responses_per_tree=2, criteria_per_tree=4)
    encoded = encode(prompts, llama.renderer)
    for epoch in range(3):
        for group in expansion.groups(prompts, seed=0, epoch=epoch):
            assert encoded.tree(group).paths() == every_path(group, llama.renderer)


def test_step_under_bfloat16_autocast_is_close_to_fp32(tmp_path: Path) -> None:
    """Small weights, as a trained model has."""
    tiny = Tiny(tiny_bundle(tmp_path, initializer_range=0.02))
    model = tiny.model(LORA)
    (passes,) = passes_of(groups_of(UNEQUAL), tiny, tokens_per_pass=700)
    expected, _ = by_trees(model, passes)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = [model(part.trees) for part in passes]
    losses = [eci_loss(each, part.targets).total for each, part in zip(logits, passes, strict=True)]
    sum(losses).backward()

    assert sum(loss.item() for loss in losses) == pytest.approx(expected, rel=2e-2)
    assert all(each.isfinite().all() for each in gradients(model).values())


def test_trainable_model_reads_the_score_in_fp32_under_autocast(llama: Tiny) -> None:
    """Rounded to bfloat16, a logit of 4 moves in steps of 1/64 and close pairs become ties."""
    model, tree = llama.model(LORA), tree_of(groups_of(UNEQUAL)[0], llama)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model([tree])

    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


@pytest.mark.parametrize("adapter", [None, LORA], ids=["full", "lora"])
def test_trainable_model_trains_in_fp32_over_bfloat16_weights(llama: Tiny, adapter: Adapter | None) -> None:
    bundle = open_bundle(str(llama.folder))

    model = trainable_model(bundle, adapter, dtype=torch.bfloat16, checkpointing=False)

    assert {each.dtype for each in model.parameters() if each.requires_grad} == {torch.float32}


def test_trainable_model_opens_the_adapter_and_the_head_or_all_but_the_embeddings(tiny: Tiny) -> None:
    def opened(adapter: Adapter | None) -> set[str]:
        return {name for name, each in tiny.model(adapter).named_parameters() if each.requires_grad}

    assert all("lora_" in name or name == "head" for name in opened(LORA))
    assert len(opened(LORA)) == 2 * 2 * 7 + 1
    frozen = {name for name, _ in tiny.model(None).named_parameters()} - opened(None)
    assert frozen == {"decoder.embed_tokens.weight"}


def test_trainable_model_refuses_an_adapter_whose_targets_are_not_there(llama: Tiny) -> None:
    with pytest.raises(RecipeError, match=r"adapter\.targets \['nothing'\]"):
        llama.model(replace(LORA, targets=("nothing",)))


@pytest.mark.parametrize("flat_sequences", [1, 5, 12])
def test_throughput_compares_equal_work(tiny: Tiny, flat_sequences: int) -> None:
    groups = groups_of(UNEQUAL)
    trees = [tree_of(group, tiny) for group in groups]
    model = tiny.model(LORA, checkpointing=True)

    found = measure(model, tiny.renderer, groups, repeats=2, flat_sequences=flat_sequences)

    assert found.gradient_difference < TOLERANCE
    assert found.loss_difference < 1e-5
    assert found.leaves == sum(tree.leaf_count for tree in trees)
    assert found.tree_tokens == sum(tree.unique_tokens for tree in trees)
    assert found.flat_tokens == sum(tree.flat_tokens for tree in trees)
    assert found.ratio == pytest.approx(found.tree_per_s / found.flat_per_s)


def test_throughput_leaves_the_model_as_it_was(llama: Tiny) -> None:
    model = llama.model(LORA)
    before = {name: each.detach().clone() for name, each in model.named_parameters()}

    measure(model, llama.renderer, groups_of(SINGLE), repeats=1)

    assert model.decoder.config._attn_implementation == TREE_ATTENTION
    assert all(each.grad is None for each in model.parameters())
    assert all(torch.equal(each, before[name]) for name, each in model.named_parameters())


def test_throughput_would_notice_another_gradient(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the comparison: the flat way without the last leaf is not equal work."""
    monkeypatch.setattr(throughput, "_batches", lambda part, _: [list(range(part.leaves - 1)) or [0]])

    found = measure(llama.model(LORA), llama.renderer, groups_of(UNEQUAL[3:] + SINGLE), repeats=1)

    assert found.gradient_difference > 100 * TOLERANCE


def test_trainable_model_gives_the_adapter_to_the_layers_that_are_named(tiny: Tiny) -> None:
    model = tiny.model(replace(LORA, layers=(1,)))

    opened = {name for name, each in model.named_parameters() if each.requires_grad}
    assert len(opened) == 2 * 7 + 1
    assert all("layers.1." in name for name in opened - {"head"})


def test_trainable_model_refuses_an_adapter_on_layers_that_are_not_there(llama: Tiny) -> None:
    with pytest.raises(RecipeError, match=r"adapter\.layers \[0, 2\]: the model has layers 0 to 1"):
        llama.model(replace(LORA, layers=(0, 2)))
