"""From pairs to who stands for whom. A text is dropped only for one that it is paired with and that is kept."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from promedical_curation.dedup.pairs import Pair

Neighbours = Mapping[int, Mapping[int, Pair]]
"""For each place, those that it is paired with."""


def neighbours(pairs: Iterable[Pair]) -> Neighbours:
    """The pairs by both of their places; of two for the same texts, the first."""
    found: dict[int, dict[int, Pair]] = defaultdict(dict)
    for pair in pairs:
        found[pair.one].setdefault(pair.other, pair)
        found[pair.other].setdefault(pair.one, pair)
    return found


def stand_ins(paired: Neighbours, medoid: Callable[[Sequence[int]], int]) -> Iterator[tuple[int, int, Pair]]:
    """Each place that is dropped, with the one that is kept for it and the pair that says so.

    Of each group of places that pairs connect, the medoid is kept and those that it is paired with are dropped. The
    others, which only a chain connects to it, are looked at again among themselves.

    Args:
        paired: Who is paired with whom.
        medoid: The place in a group, given in ascending order, that is kept.
    """
    waiting = list(_groups(sorted(paired), paired))
    while waiting:
        group = waiting.pop()
        kept = medoid(group)
        yield from ((place, kept, paired[kept][place]) for place in group if place in paired[kept])
        waiting += _groups([place for place in group if place != kept and place not in paired[kept]], paired)


def _groups(places: Sequence[int], paired: Neighbours) -> Iterator[list[int]]:
    """The places that pairs connect, in ascending order, without those that are alone."""
    left = set(places)
    for start in places:
        if start not in left:
            continue
        left.remove(start)
        group, edge = [start], [start]
        while edge:
            reached = [place for place in paired[edge.pop()] if place in left]
            left.difference_update(reached)
            group += reached
            edge += reached
        if len(group) > 1:
            yield sorted(group)
