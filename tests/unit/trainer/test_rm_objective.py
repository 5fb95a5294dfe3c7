"""The loss of Explicit Criteria Injection: by hand, by torch's own functions, and what its gradients push."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from promedical.rubric import Dimension
from promedical_trainer.rm.loss_weights import LossWeights
from promedical_trainer.rm.objective import Loss, Targets, eci_loss


def targets(**changes: Any) -> Targets:
    """Targets of an empty group, except for the changes."""
    whole, real = torch.int64, torch.float32
    kinds = {
        "winners": whole,
        "losers": whole,
        "pair_weights": real,
        "pair_shares": real,
        "center_weights": real,
        "labelled": whole,
        "met": real,
        "label_weights": real,
    }
    changes = {"pair_shares": changes.get("pair_weights", [])} | changes
    if "winners" in changes:
        changes = {"center_weights": [0.0] * len(changes["winners"])} | changes
    return Targets(**{name: torch.tensor(changes.get(name, []), dtype=kind) for name, kind in kinds.items()})


def loss_and_gradient(logits: list[float], wanted: Targets) -> tuple[Loss, list[float]]:
    leaves = torch.tensor(logits, requires_grad=True)
    loss = eci_loss(leaves, wanted)
    loss.total.backward()
    return loss, leaves.grad.tolist()


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_loss_of_one_pair_is_bradley_terrys() -> None:
    loss, gradient = loss_and_gradient([2.0, 0.5], targets(winners=[0], losers=[1], pair_weights=[1.0]))

    assert loss.total.item() == pytest.approx(softplus(-1.5))
    assert loss.pairwise.item() == pytest.approx(0.20141328)
    assert gradient == pytest.approx([-sigmoid(-1.5), sigmoid(-1.5)])


def test_loss_of_labels_is_binary_cross_entropy() -> None:
    loss, gradient = loss_and_gradient([1.0, -2.0], targets(labelled=[0, 1], met=[1, 1], label_weights=[0.5, 0.25]))

    assert loss.total.item() == pytest.approx(0.5 * softplus(-1.0) + 0.25 * softplus(2.0))
    assert loss.pointwise.item() == pytest.approx(loss.total.item())
    assert gradient == pytest.approx([0.5 * (sigmoid(1.0) - 1), 0.25 * (sigmoid(-2.0) - 1)])


def test_loss_centres_only_where_a_weight_says_so() -> None:
    wanted = targets(winners=[0, 2], losers=[1, 3], pair_weights=[0.0, 0.0], center_weights=[0.01, 0.0])

    loss, gradient = loss_and_gradient([3.0, 1.0, 5.0, 7.0], wanted)

    assert loss.total.item() == pytest.approx(0.01 * 4.0**2)
    assert gradient == pytest.approx([0.08, 0.08, 0.0, 0.0])


def test_loss_total_is_the_sum_of_its_parts() -> None:
    wanted = targets(
        winners=[0, 3],
        losers=[1, 2],
        pair_weights=[0.7, 0.3],
        center_weights=[0.0, 0.003],
        labelled=[0, 1],
        met=[1, 0],
        label_weights=[0.1, 0.1],
    )

    loss, _ = loss_and_gradient([1.0, 0.5, -0.25, -1.0], wanted)

    center = 0.003 * (-1.25) ** 2
    assert loss.pairwise.item() == pytest.approx(0.7 * softplus(-0.5) + 0.3 * softplus(0.75))
    assert loss.pointwise.item() == pytest.approx(0.1 * (softplus(-1.0) + softplus(0.5)))
    assert loss.total.item() == pytest.approx(loss.pairwise.item() + loss.pointwise.item() + center)


_LOGITS = st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=8)


@given(logits=_LOGITS, data=st.data())
def test_loss_equals_torchs_own_functions(logits: list[float], data: st.DataObject) -> None:
    place = st.integers(0, len(logits) - 1)
    pairs = data.draw(st.lists(st.tuples(place, place, st.floats(0, 2, width=32)), max_size=6))
    labels = data.draw(st.lists(st.tuples(place, st.booleans()), max_size=6))
    winners, losers, weights = ([pair[part] for pair in pairs] for part in range(3))
    places, met = ([label[part] for label in labels] for part in range(2))
    wanted = targets(
        winners=winners, losers=losers, pair_weights=weights, labelled=places, met=met, label_weights=[0.5] * len(met)
    )
    x = torch.tensor(logits)
    margins = x[torch.tensor(winners, dtype=torch.int64)] - x[torch.tensor(losers, dtype=torch.int64)]
    pointwise = binary_cross_entropy_with_logits(
        x[torch.tensor(places, dtype=torch.int64)], torch.tensor(met, dtype=torch.float32), reduction="sum"
    )

    loss, gradient = loss_and_gradient(logits, wanted)

    assert loss.pairwise.item() == pytest.approx(-(torch.tensor(weights) * logsigmoid(margins)).sum().item(), abs=1e-4)
    assert loss.pointwise.item() == pytest.approx(0.5 * pointwise.item(), abs=1e-4)
    assert all(map(math.isfinite, gradient))


@given(margin=st.floats(-30, 30))
def test_loss_gradients_raise_the_winner_and_lower_the_loser(margin: float) -> None:
    _, (winner, loser) = loss_and_gradient([margin, 0.0], targets(winners=[0], losers=[1], pair_weights=[1.0]))

    assert winner <= 0 <= loser
    assert winner == pytest.approx(-loser)


@given(logit=st.floats(-15, 15))
def test_loss_gradients_raise_what_is_met_and_lower_what_is_not(logit: float) -> None:
    wanted = targets(labelled=[0, 1], met=[1, 0], label_weights=[1.0, 1.0])

    _, (met, not_met) = loss_and_gradient([logit, logit], wanted)

    assert met < 0 < not_met


def test_loss_of_a_pair_does_not_see_what_both_logits_share() -> None:
    wanted = targets(winners=[0], losers=[1], pair_weights=[1.0])

    assert loss_and_gradient([1.5, 1.0], wanted)[0].total.item() == pytest.approx(
        loss_and_gradient([9.5, 9.0], wanted)[0].total.item()
    )


def test_loss_without_pairs_or_labels_is_zero_and_still_carries_gradients() -> None:
    loss, gradient = loss_and_gradient([1.0, 2.0], targets())

    assert [each.item() for each in (loss.total, loss.pairwise, loss.pointwise, loss.accuracy)] == [0.0] * 4
    assert gradient == [0.0, 0.0]


@pytest.mark.parametrize("huge", [1e4, -1e4])
def test_loss_of_huge_logits_is_finite(huge: float) -> None:
    wanted = targets(winners=[0], losers=[1], pair_weights=[1.0], labelled=[0], met=[1], label_weights=[1.0])

    loss, gradient = loss_and_gradient([huge, 0.0], wanted)

    assert loss.total.item() == pytest.approx(0.0 if huge > 0 else 2e4)
    assert all(map(math.isfinite, gradient))


def test_loss_accuracy_is_the_weight_of_pairs_in_the_right_order() -> None:
    wanted = targets(winners=[0, 1, 2], losers=[1, 0, 2], pair_weights=[0.5, 0.3, 0.2])

    loss, _ = loss_and_gradient([1.0, 0.0, 0.0], wanted)

    assert loss.accuracy.item() == pytest.approx(0.5)  # a tie is not in the right order


def test_loss_parts_for_the_log_carry_no_graph() -> None:
    loss, _ = loss_and_gradient([1.0, 0.0], targets(winners=[0], losers=[1], pair_weights=[1.0]))

    assert loss.total.requires_grad
    assert not any(each.requires_grad for each in (loss.pairwise, loss.pointwise, loss.accuracy))


def test_targets_move_as_a_whole() -> None:
    wanted = targets(winners=[0], losers=[1], pair_weights=[1.0])

    moved = wanted.to(torch.device("meta"))

    assert {getattr(moved, name).device.type for name in Targets.__slots__} == {"meta"}


@pytest.mark.parametrize("name", ["pairwise", "pointwise", "center"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_loss_weights_refuse_what_is_not_a_finite_number_of_0_or_more(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number of 0 or more"):
        LossWeights(**{name: value})


def test_loss_weights_refuse_a_dimension_below_zero_and_a_loss_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"loss weight -1\.0"):
        LossWeights(dimensions={Dimension.SAFETY: -1.0})
    with pytest.raises(ValueError, match="both 0; nothing would be learnt"):
        LossWeights(pairwise=0, pointwise=0)


def test_loss_weights_of_a_dimension_that_is_not_named_are_1() -> None:
    weights = LossWeights(dimensions={Dimension.SAFETY: 2.0})

    assert [weights.of(each) for each in Dimension] == [1.0, 1.0, 2.0]
