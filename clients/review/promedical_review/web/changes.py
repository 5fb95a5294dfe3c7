"""What an edit changed in a rubric, in pieces that a page can mark: what stays, what is gone, what is new. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from promedical_data.rounds.round import Proposed
from promedical_review.web.languages import Texts

Mark = Literal["del", "ins"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words. `mark` is the HTML element of what is gone or new; None: it stays."""

    text: str
    mark: Mark | None = None


Change = list[Piece]
"""One change; its first piece says of what kind it is."""


def changes(before: Sequence[Proposed], after: Sequence[Proposed], t: Texts) -> list[Change]:
    """All changes, in the order of the rubric as it is now; what was deleted comes last."""
    known = {each.criterion.id: each for each in before}
    left = {each.criterion.id for each in after}
    found: list[Change] = []
    for each in after:
        old = known.get(each.criterion.id)
        found += _of_one(old, each, t) if old else [_said(t("change_added"), Piece(_text(each, t), "ins"))]
    found += [
        _said(t("change_deleted"), Piece(_text(each, t), "del")) for each in before if each.criterion.id not in left
    ]
    if not found and [each.criterion.id for each in before] != [each.criterion.id for each in after]:
        found.append(_said(t("change_reordered")))
    return found


def _of_one(old: Proposed, new: Proposed, t: Texts) -> Iterator[Change]:
    was, now = old.criterion, new.criterion
    if was.text != now.text:
        yield _said(t("change_reworded"), *_words(was.text, now.text))
    pairs = {
        "change_moved": (t(f"dimension_{was.dimension}"), t(f"dimension_{now.dimension}")),
        "change_polarity": (t(f"polarity_{was.polarity}"), t(f"polarity_{now.polarity}")),
        "change_weight": (_number(was.weight), _number(now.weight)),
        "change_citation": (old.citation or t("empty"), new.citation or t("empty")),
    }
    for kind, (before, after) in pairs.items():
        if before != after:
            yield _said(t(kind), Piece(before, "del"), Piece(after, "ins"), Piece(_short(now.text)))


def _words(before: str, after: str) -> Iterator[Piece]:
    """The difference word by word; a script without spaces is compared sign by sign."""
    old, new = (re.findall(r"[^\W\d_]*[a-zA-Z]\w*|\d+|\s+|.", text, re.DOTALL) for text in (before, after))
    for what, a, b, c, d in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if what == "equal":
            yield Piece("".join(old[a:b]))
            continue
        if a < b:
            yield Piece("".join(old[a:b]), "del")
        if c < d:
            yield Piece("".join(new[c:d]), "ins")


def _said(kind: str, *pieces: Piece) -> Change:
    return [Piece(f"{kind}:"), *(piece for piece in pieces if piece.text.strip())]


def _text(each: Proposed, t: Texts) -> str:
    return each.criterion.text or t("empty")


def _number(weight: float | None) -> str:
    return f"{1.0 if weight is None else weight:g}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"  # noqa: PLR2004
