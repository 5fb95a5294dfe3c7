"""How much faster a tree trains than its paths one by one, and the proof that both compute the same gradients.

The flat way is what a run without trees does: every path prompt -> response -> criterion is a sequence of its
own, batched with right padding, through transformers' sdpa attention. A batch holds all responses of some
criteria, so that pairs stay together and no sequence is computed twice, which is kind to the flat way. Both ways
run forward and backward of the same loss on the same weights; the optimizer is left out.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch.nn.utils.rnn import pad_sequence

from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.tree.token_tree import Tokens
from promedical_model.tree.tree_model import TreeModel
from promedical_trainer.rm.encoding import encode
from promedical_trainer.rm.expansion import Group
from promedical_trainer.rm.loss_weights import LossWeights
from promedical_trainer.rm.objective import Targets, eci_loss
from promedical_trainer.rm.passes import Pass, step_passes

FLAT_SEQUENCES: Final = 4
"""The most sequences of a flat batch; one criterion of many responses may have more. Activations of the default model
take about 3 MB a token in fp32, so that four usual paths need as much memory as one usual tree."""

_ROUNDING: Final = 1e-3
"""A gradient below this share of the largest one is compared with that share: nothing but rounding is in it."""

Gradients = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Both ways on the same groups. Rates are criteria (leaves) trained per second, of the best repeat.

    Attributes:
        leaves: Criteria judged in one repeat, each of every response.
        tree_tokens: Tokens that the trees compute.
        flat_tokens: Tokens of all paths, without padding.
        tree_per_s: Rate of the trees.
        flat_per_s: Rate of independent sequences.
        gradient_difference: Norm of the difference of a tensor's gradient over the norm of the gradient, at most.
        loss_difference: The difference of the two losses.
    """

    leaves: int
    tree_tokens: int
    flat_tokens: int
    tree_per_s: float
    flat_per_s: float
    gradient_difference: float
    loss_difference: float

    @property
    def ratio(self) -> float:
        """How many times faster trees are."""
        return self.tree_per_s / self.flat_per_s


def measure(
    model: TreeModel,
    renderer: PromptRenderer,
    groups: Sequence[Group],
    repeats: int,
    *,
    flat_sequences: int = FLAT_SEQUENCES,
) -> Throughput:
    """Train both ways, alternating, so that what else the machine does hits both; the best of each counts.

    Args:
        model: What requires gradients is trained; its gradients are dropped.
        renderer: The model's renderer.
        groups: The groups to train on, one tree each.
        repeats: How often each way runs, at least once.
        flat_sequences: Sequences in a flat batch.
    """
    encoded = encode([group.prompt for group in groups], renderer)
    passes = step_passes(groups, encoded, LossWeights(), tokens_per_pass=1)[0]  # a tree never shares its pass
    ways = {
        "tree": lambda: sum(_tree_step(model, pass_) for pass_ in passes),
        "flat": lambda: sum(_flat_step(model, pass_, flat_sequences) for pass_ in passes),
    }
    model.train()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, tuple[float, Gradients]] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            with _attention(model, None if name == "tree" else "sdpa"):
                took, loss = _timed(way, model.device)
            seconds[name].append(took)
            found[name] = loss, _taken_gradients(model)
    leaves = sum(pass_.leaves for pass_ in passes)
    return Throughput(
        leaves=leaves,
        tree_tokens=sum(pass_.tokens for pass_ in passes),
        flat_tokens=sum(tree.flat_tokens for pass_ in passes for tree in pass_.trees),
        tree_per_s=leaves / min(seconds["tree"]),
        flat_per_s=leaves / min(seconds["flat"]),
        gradient_difference=_difference(found["tree"][1], found["flat"][1]),
        loss_difference=abs(found["tree"][0] - found["flat"][0]),
    )


def _tree_step(model: TreeModel, pass_: Pass) -> float:
    return _backward(model(pass_.trees), pass_.targets.to(model.device))


def _flat_step(model: TreeModel, pass_: Pass, sequences: int) -> float:
    targets = pass_.targets.to(model.device)
    paths = [path for tree in pass_.trees for path in tree.paths()]
    return sum(
        _backward(_flat_logits(model, [paths[place] for place in places]), _targets_at(targets, places, len(paths)))
        for places in _batches(pass_, sequences)
    )


def _batches(pass_: Pass, sequences: int) -> Iterator[list[int]]:
    """Places of leaves: whole criteria, all responses of each, as many as fit."""
    start = 0
    for tree in pass_.trees:
        rows, width = len(tree.branches), len(tree.branches[0].leaves)
        columns = max(1, sequences // rows)
        for first in range(0, width, columns):
            chosen = range(first, min(first + columns, width))
            yield [start + row * width + column for row in range(rows) for column in chosen]
        start += rows * width


def _flat_logits(model: TreeModel, paths: Sequence[Tokens]) -> torch.Tensor:
    ids = pad_sequence([torch.tensor(path) for path in paths], batch_first=True).to(model.device)
    lengths = torch.tensor([len(path) for path in paths], device=model.device)
    mask = torch.arange(ids.shape[1], device=model.device) < lengths[:, None]
    hidden = model.decoder(input_ids=ids, attention_mask=mask.long(), use_cache=False).last_hidden_state
    logits: torch.Tensor = hidden[torch.arange(len(paths)), lengths - 1].float() @ model.head
    return logits


def _targets_at(targets: Targets, places: Sequence[int], leaves: int) -> Targets:
    """The labels and pairs of some leaves, by their places in the batch; no pair may be cut in two."""
    place = torch.full((leaves,), -1, device=targets.winners.device)
    place[torch.tensor(places)] = torch.arange(len(places), device=place.device)
    pairs, labels = place[targets.winners] >= 0, place[targets.labelled] >= 0
    return replace(
        targets,
        winners=place[targets.winners[pairs]],
        losers=place[targets.losers[pairs]],
        pair_weights=targets.pair_weights[pairs],
        pair_shares=targets.pair_shares[pairs],
        center_weights=targets.center_weights[pairs],
        labelled=place[targets.labelled[labels]],
        met=targets.met[labels],
        label_weights=targets.label_weights[labels],
    )


def _backward(logits: torch.Tensor, targets: Targets) -> float:
    loss = eci_loss(logits, targets).total
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.item())


def _timed(way: Callable[[], float], device: torch.device) -> tuple[float, float]:
    """Seconds of one run, and its loss; reading the loss waits for the forward pass, not for the last backward."""
    started = time.perf_counter()
    loss = way()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started, loss


@contextmanager
def _attention(model: TreeModel, name: str | None) -> Iterator[None]:
    """The same weights with another attention function; None leaves it."""
    decoder: Any = model.decoder
    before = decoder.config._attn_implementation  # noqa: SLF001 - the library has no public way to read it
    decoder.set_attn_implementation(name or before)
    try:
        yield
    finally:
        decoder.set_attn_implementation(before)


def _taken_gradients(model: TreeModel) -> Gradients:
    found = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def _difference(ours: Gradients, theirs: Gradients) -> float:
    norms = {name: float(each.norm()) for name, each in theirs.items()}
    floor = _ROUNDING * max(norms.values())
    return max(float((ours[name] - theirs[name]).norm()) / max(norm, floor) for name, norm in norms.items())
