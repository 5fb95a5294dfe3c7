"""Expansion: which responses and criteria share a tree, and that pairs say literally what the labels say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelled import a_criterion, a_prompt, a_response, judged, labelled_prompts, with_opposite_polarity
from promedical.rubric import Dimension, Polarity
from promedical_data.labelled import LabelledPrompt, Preference
from promedical_trainer.rm.ablation import without_safety
from promedical_trainer.rm.expansion import Expansion, Group

_EXPANSIONS = st.builds(
    Expansion,
    responses_per_tree=st.integers(2, 5),
    criteria_per_tree=st.integers(1, 6),
    trees_per_prompt=st.integers(1, 4),
    pairs_per_criterion=st.integers(1, 6),
)


def groups_of(prompts: Sequence[LabelledPrompt], seed: int = 0, epoch: int = 0, **settings: Any) -> list[Group]:
    return Expansion(**settings).groups(prompts, seed=seed, epoch=epoch)


def named_pairs(group: Group) -> set[tuple[str, str, str, bool]]:
    return {
        (
            group.criteria[pair.criterion].id,
            group.responses[pair.winner].id,
            group.responses[pair.loser].id,
            pair.labelled,
        )
        for pair in group.pairs
    }


def shape(groups: Sequence[Group]) -> list[Any]:
    return [
        (
            group.prompt.id,
            [each.id for each in group.responses],
            [each.id for each in group.criteria],
            [(pair.criterion, pair.winner, pair.loser, pair.labelled) for pair in group.pairs],
        )
        for group in groups
    ]


MANY = [judged(name, responses=7, criteria=6, unlabelled=1) for name in "abcdef"]


def test_expansion_is_the_same_for_the_same_seed_and_epoch() -> None:
    assert shape(groups_of(MANY, seed=3, epoch=1)) == shape(groups_of(MANY, seed=3, epoch=1))


@pytest.mark.parametrize("other", [{"seed": 4, "epoch": 1}, {"seed": 3, "epoch": 2}], ids=str)
def test_expansion_draws_anew_for_another_seed_or_epoch(other: dict[str, int]) -> None:
    def partition(**of: int) -> set[frozenset[str]]:
        return {frozenset(each.id for each in group.responses) for group in groups_of(MANY, **of)}

    assert partition(seed=3, epoch=1) != partition(**other)
    orders = [[group.prompt.id for group in groups_of(MANY, **of)] for of in ({"seed": 3, "epoch": 1}, other)]
    assert orders[0] != orders[1]


def test_expansion_of_a_prompt_does_not_depend_on_the_other_prompts() -> None:
    alone = shape(groups_of(MANY[2:3]))
    among = [each for each in shape(groups_of(MANY[::-1])) if each[0] == MANY[2].id]

    assert sorted(among) == sorted(alone)


def test_expansion_mixes_the_prompts() -> None:
    prompts = [group.prompt.id for group in groups_of(MANY, responses_per_tree=2)]

    assert prompts != sorted(prompts)
    assert set(prompts) == set("abcdef")


@given(prompt=labelled_prompts(), expansion=_EXPANSIONS, seed=st.integers(0, 5))
def test_expansion_groups_hold_every_bound(prompt: LabelledPrompt, expansion: Expansion, seed: int) -> None:
    groups = expansion.groups([prompt], seed=seed, epoch=0)
    # With an odd number and trees of two, one tree takes three, so that none is left alone.
    most = max(expansion.responses_per_tree, 3)

    assert len(groups) <= expansion.trees_per_prompt
    for group in groups:
        assert len(group.responses) <= most
        assert len(group.responses) >= min(2, len(prompt.responses))
        assert len(group.criteria) == min(expansion.criteria_per_tree, len(prompt.criteria))
        assert len({each.id for each in group.criteria}) == len(group.criteria)
    placed = Counter(response.id for group in groups for response in group.responses)
    assert all(count == 1 for count in placed.values())
    per_criterion = Counter(group.criteria[pair.criterion].id for group in groups for pair in group.pairs)
    assert all(count <= expansion.pairs_per_criterion for count in per_criterion.values())


@given(prompt=labelled_prompts(), expansion=_EXPANSIONS, seed=st.integers(0, 5))
def test_expansion_pairs_say_what_labels_and_preferences_say(
    prompt: LabelledPrompt, expansion: Expansion, seed: int
) -> None:
    preferred = {(each.criterion, each.winner, each.loser) for each in prompt.preferences}

    for group in expansion.groups([prompt], seed=seed, epoch=0):
        for pair in group.pairs:
            criterion = group.criteria[pair.criterion].id
            winner, loser = group.responses[pair.winner], group.responses[pair.loser]
            if pair.labelled:
                assert winner.labels[criterion].met
                assert not loser.labels[criterion].met
            else:
                assert (criterion, winner.id, loser.id) in preferred


@given(prompt=labelled_prompts(), seed=st.integers(0, 5))
def test_expansion_with_room_for_all_makes_every_pair_once(prompt: LabelledPrompt, seed: int) -> None:
    expansion = Expansion(responses_per_tree=99, criteria_per_tree=99, pairs_per_criterion=999)
    expected = Counter(
        (criterion, a.id, b.id)
        for a in prompt.responses
        for b in prompt.responses
        for criterion in a.labels.keys() & b.labels.keys()
        if a.labels[criterion].met and not b.labels[criterion].met
    )

    groups = expansion.groups([prompt], seed=seed, epoch=0)

    found = Counter(each[:3] for group in groups for each in sorted(named_pairs(group)) if each[3])
    assert found == expected


@given(prompt=labelled_prompts(), expansion=_EXPANSIONS, seed=st.integers(0, 5))
def test_expansion_ignores_polarity(prompt: LabelledPrompt, expansion: Expansion, seed: int) -> None:
    flipped = with_opposite_polarity(prompt)

    assert shape(expansion.groups([flipped], seed=seed, epoch=0)) == shape(
        expansion.groups([prompt], seed=seed, epoch=0)
    )


@given(prompt=labelled_prompts(), expansion=_EXPANSIONS, seed=st.integers(0, 5))
def test_expansion_puts_comparing_criteria_first_and_safety_first_among_them(
    prompt: LabelledPrompt, expansion: Expansion, seed: int
) -> None:
    for group in expansion.groups([prompt], seed=seed, epoch=0):
        compared = {pair.criterion for pair in group.pairs}
        ranks = [
            (column not in compared, criterion.dimension is not Dimension.SAFETY)
            for column, criterion in enumerate(group.criteria)
        ]
        assert ranks == sorted(ranks)


@pytest.mark.parametrize("polarity", Polarity)
def test_expansion_winner_meets_the_criterion_as_worded(polarity: Polarity) -> None:
    prompt = a_prompt(
        "p", [a_criterion("c", polarity=polarity)], [a_response("no", {"c": False}), a_response("yes", {"c": True})]
    )

    (group,) = groups_of([prompt])

    assert named_pairs(group) == {("c", "yes", "no", True)}


def test_expansion_keeps_safety_when_criteria_are_cut() -> None:
    names = [f"c{index}" for index in range(9)]
    criteria = [a_criterion(name) for name in names] + [a_criterion("veto", Dimension.SAFETY)]
    differ = dict.fromkeys([*names, "veto"], True)
    prompt = a_prompt("p", criteria, [a_response("a", differ), a_response("b", dict.fromkeys(differ, False))])

    for seed in range(5):
        (group,) = groups_of([prompt], seed=seed, criteria_per_tree=2)
        assert group.criteria[0].id == "veto"


def test_expansion_of_labels_that_agree_or_are_missing_makes_no_pair() -> None:
    criteria = [a_criterion("same"), a_criterion("one sided"), a_criterion("unrated")]
    labels = [{"same": True, "one sided": False}, {"same": True}]
    prompt = a_prompt("p", criteria, [a_response(str(row), met) for row, met in enumerate(labels)])

    (group,) = groups_of([prompt])

    assert group.pairs == ()
    assert sorted((group.criteria[c].id, met) for _, c, met in group.labels()) == [
        ("one sided", False),
        ("same", True),
        ("same", True),
    ]


def test_expansion_serves_the_pointwise_loss_with_a_single_response() -> None:
    prompt = a_prompt("p", [a_criterion("c")], [a_response("only", {"c": True})])

    (group,) = groups_of([prompt])

    assert list(group.labels()) == [(0, 0, True)]


def test_expansion_leaves_out_what_teaches_nothing() -> None:
    assert groups_of([a_prompt("p", [a_criterion("c")], [a_response("a"), a_response("b")])]) == []
    assert groups_of([a_prompt("p", [a_criterion("c")], [])]) == []


def test_expansion_leaves_out_trees_of_few_pairs_where_told() -> None:
    criteria = [a_criterion("one"), a_criterion("two")]
    few = a_prompt("few", criteria, [a_response("a", {"one": True}), a_response("b", {"one": False})])
    labels = ({"one": True, "two": False}, {"one": False, "two": True})
    more = a_prompt("more", criteria, [a_response(f"{row}", met) for row, met in enumerate(labels)])
    labels_only = a_prompt("labels", criteria, [a_response("a", {"one": True})])

    assert {group.prompt.id for group in groups_of([few, more, labels_only])} == {"few", "more", "labels"}
    assert {group.prompt.id for group in groups_of([few, more, labels_only], pairs_per_tree=1)} == {"few", "more"}
    assert {group.prompt.id for group in groups_of([few, more, labels_only], pairs_per_tree=2)} == {"more"}


def test_expansion_turns_preferences_into_pairs_without_labels() -> None:
    prompt = a_prompt(
        "p",
        [a_criterion("c")],
        [a_response("a"), a_response("b")],
        [
            Preference(criterion="c", winner="b", loser="a"),
            Preference(criterion="c", winner="b", loser="left out"),
        ],
    )

    (group,) = groups_of([prompt])

    assert named_pairs(group) == {("c", "b", "a", False)}
    assert list(group.labels()) == []


@pytest.mark.parametrize("count", range(2, 14))
@pytest.mark.parametrize("per_tree", [2, 3, 4])
def test_expansion_leaves_no_response_alone_and_none_out(count: int, per_tree: int) -> None:
    prompt = judged("p", responses=count, criteria=3)

    groups = groups_of([prompt], responses_per_tree=per_tree, trees_per_prompt=99)

    sizes = sorted(len(group.responses) for group in groups)
    assert sum(sizes) == count
    assert sizes[0] >= 2
    assert sizes[-1] - sizes[0] <= 1


def test_expansion_over_epochs_compares_every_two_responses() -> None:
    prompt = judged("p", responses=6, criteria=1)
    met = {each.id: each.labels["pc0"].met for each in prompt.responses}
    seen = {
        pair[1:3] for epoch in range(60) for group in groups_of([prompt], epoch=epoch) for pair in named_pairs(group)
    }

    assert seen == {(a, b) for a in met for b in met if met[a] and not met[b]}


def test_expansion_without_safety_has_no_safety_criteria_and_the_other_pairs() -> None:
    settings = {"responses_per_tree": 9, "pairs_per_criterion": 99}
    whole = {pair for group in groups_of(MANY, **settings) for pair in named_pairs(group)}
    safety = {each.id for prompt in MANY for each in prompt.criteria if each.dimension is Dimension.SAFETY}

    rest = groups_of(without_safety(MANY), **settings)

    assert {pair for group in rest for pair in named_pairs(group)} == {p for p in whole if p[0] not in safety}
    assert not any(each.id in safety for group in rest for each in group.criteria)
    assert not any(label in safety for group in rest for each in group.responses for label in each.labels)


def test_expansion_without_safety_drops_prompts_that_are_only_safety() -> None:
    veto = a_prompt("p", [a_criterion("v", Dimension.SAFETY)], [a_response("a", {"v": True})])

    assert without_safety([veto, replace(veto, criteria=())]) == []


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("responses_per_tree", 2),
        ("criteria_per_tree", 1),
        ("trees_per_prompt", 1),
        ("pairs_per_criterion", 1),
        ("pairs_per_tree", 0),
    ],
)
def test_expansion_refuses_bounds_that_leave_nothing(name: str, least: int) -> None:
    with pytest.raises(ValueError, match=f"{name} is {least - 1}: expected at least {least}"):
        Expansion(**{name: least - 1})


def test_expansion_makes_no_pair_of_responses_that_look_the_same() -> None:
    """Such a pair has one input on both sides: its loss is a constant."""
    same = a_prompt(
        "p",
        [a_criterion("c"), a_criterion("d")],
        [
            a_response("one", {"c": True}, text="Rest  for two\u200b days.\n"),
            a_response("two", {"c": False}, text="Rest for two days."),
            a_response("other", {"c": False}, text="Take 5 mg."),
        ],
        [Preference(criterion="d", winner="one", loser="two"), Preference(criterion="d", winner="two", loser="other")],
    )
    (group,) = groups_of([same])
    assert named_pairs(group) == {("c", "one", "other", True), ("d", "two", "other", False)}
    assert len(list(group.labels())) == 3
