"""What is wrong with how criteria are worded: advice for whoever writes them, before anybody judges by them.

Rules look at words only; they know no medicine and no model, and they may be wrong. A criterion should be atomic (one
statement), falsifiable (two readers agree whether it holds) and literal (it holds, or it does not, as worded). A veto
says what a response does, since "met" means violated.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from promedical.rubric import Criterion, Dimension, Polarity

Rule = Literal[
    "compound",
    "long",
    "vague",
    "boilerplate",
    "counting",
    "comparison",
    "question",
    "double_negation",
    "veto_omission",
    "polarity",
    "duplicate",
]

EXPLANATIONS: Final[dict[Rule, str]] = {
    "compound": "asks for several things at once; make a criterion of each, so that a verdict says which is missing",
    "long": f"has more than {(_MOST_WORDS := 60)} words; say one thing in one sentence",
    "vague": "rests on a word that two readers understand differently; say what must be there",
    "boilerplate": "fits any question; say what a good answer to this question states",
    "counting": "asks for a count or a length, which models judge badly; name the things instead",
    "comparison": "refers to another answer, which the judge does not see; say what that answer states",
    "question": "is a question or an instruction; word it as a statement about the response",
    "double_negation": "negates twice; word it so that it holds or does not hold",
    "veto_omission": "is a veto for something left out; word it as what a response does, or silence counts as harm",
    "polarity": "is worded against its polarity; reword it, or turn the polarity round",
    "duplicate": "says the same as another criterion of this rubric; keep one",
}
"""By the rule's name, what is wrong and what to do."""

_ACTS: Final = (
    "states|says|mentions|notes|explains|recommends|advises|suggests|describes|lists|identifies|provides|includes|"
    "asks|offers|warns|encourages|acknowledges|clarifies|informs|instructs|emphasizes|emphasises|highlights|outlines|"
    "defines|discusses|gives|refers|reassures|cautions|urges|directs|requests|uses"
)
_OMITS: Final = r"(?:fails? to|does not|doesn't|do not|omits?|neglects? to|lacks?|is missing|never)\b"
_PRAISES: Final = (
    r"(?:avoids?|refrains? from|advises against|warns|cautions|recommends against|should(?! not\b)|correctly)\b"
)


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


_PATTERNS: Final[dict[Rule, re.Pattern[str]]] = {
    "compound": _any(
        rf"\b(?:{_ACTS})\b[^.;]*?(?:,? and(?: also)?|, as well as|;) (?:{_ACTS})\b",
        r"[.;!] +(?:it|the (?:response|answer|completion)|this)\b",
        r"\bstep 1\b",
    ),
    "vague": _any(
        r"\b(?:appropriate(?:ly)?|adequate(?:ly)?|sufficient(?:ly)?|properly|suitable|reasonabl[ey]|high[- ]quality|"
        r"etc\b|and so on|as needed|relevant information|important information|good advice|well[- ]written)",
    ),
    "boilerplate": _any(
        r"^(?:the (?:response|answer|completion) )?(?:is|are|must be|should be) (?:\w+ and )?"
        r"(?:helpful|accurate|clear|concise|correct|complete|polite|professional|safe|relevant|informative)\b[^,;]*$",
        r"\b(?:has no|contains no|without) (?:factual(?:ly)? )?(?:errors?|inaccura\w+|incorrect information)",
        r"\b(?:clear and concise|easy to (?:read|understand)|professional tone|no spelling)\b",
    ),
    "counting": _any(
        r"\b(?:at least|at most|no more than|no fewer than|fewer than|more than|exactly|up to) "
        r"(?:\d+|two|three|four|five|six|ten) (?:\w+ )?"
        r"(?:words?|sentences?|paragraphs?|points?|items?|examples?|reasons?)\b",
        r"\b(?:number of (?:words|sentences|examples)|word count)\b",
    ),
    "comparison": _any(
        r"\b(?:the (?:ideal|reference|gold|expert|other|first|second) (?:response|answer|completion)|"
        r"(?:[Rr]esponse|[Aa]nswer) (?-i:[AB12])\b|(?:better|worse|longer|shorter) than the)",
    ),
    "question": _any(r"^(?:does|do|is|are|has|did|can|check|verify|make sure|ensure)\b(?! not\b)", r"\?\s*$"),
    "double_negation": _any(
        rf"{_OMITS} (?:avoid|refrain|omit|fail|advise against)",
        r"\bnot un(?!der|i|til|less)\w+",
        r"\bdoes not (?:lack|miss)\b",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        criterion: The id of the criterion.
        rule: The rule that it breaks.
        words: The words that break it; empty where it is the whole.
    """

    criterion: str
    rule: Rule
    words: str = ""

    @property
    def message(self) -> str:
        """What is wrong, and what to do."""
        return EXPLANATIONS[self.rule] + (f' ("{self.words}")' if self.words else "")


def lint(criteria: Iterable[Criterion]) -> list[Finding]:
    """All findings in the criteria of one rubric, in their order."""
    seen: set[str] = set()
    found: list[Finding] = []
    for criterion in criteria:
        found += _lint_one(criterion)
        normal = " ".join(re.findall(r"\w+", criterion.text.casefold()))
        if normal in seen:
            found.append(Finding(criterion=criterion.id, rule="duplicate"))
        seen.add(normal)
    return found


def _lint_one(criterion: Criterion) -> Iterator[Finding]:
    for rule, pattern in _PATTERNS.items():
        if match := pattern.search(criterion.text):
            yield Finding(criterion=criterion.id, rule=rule, words=" ".join(match[0].split()))
    if len(criterion.text.split()) > _MOST_WORDS:
        yield Finding(criterion=criterion.id, rule="long")
    yield from _against_polarity(criterion)


def _against_polarity(criterion: Criterion) -> Iterator[Finding]:
    """A statement that praises under negative polarity, or blames under positive, or a veto for silence."""
    omits, praises = _begins(_OMITS, criterion), _begins(_PRAISES, criterion)
    if criterion.dimension is Dimension.SAFETY and omits:
        yield Finding(criterion=criterion.id, rule="veto_omission", words=omits)
    elif criterion.polarity is Polarity.NEGATIVE and praises:
        yield Finding(criterion=criterion.id, rule="polarity", words=praises)
    elif criterion.polarity is Polarity.POSITIVE and omits.casefold().startswith(("fail", "omit", "neglect", "lack")):
        yield Finding(criterion=criterion.id, rule="polarity", words=omits)


def _begins(words: str, criterion: Criterion) -> str:
    match = re.match(rf"(?:the (?:response|answer|completion) )?({words})", criterion.text, re.IGNORECASE)
    return match[1] if match else ""
