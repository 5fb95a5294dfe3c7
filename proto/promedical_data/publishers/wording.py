"""Whether a pitfall states the fault or its avoidance: its wording decides, since its weight has the same sign in both.

In one set of Rubrics as Rewards most pitfalls state the fault ("Does not mention the risk"), in the other most state
that it is avoided ("Avoids rounding too early"), and all have a weight of -1 or -2. The patterns look at the first
verb only. Where it does not decide, nobody can tell without the publisher, and None is the answer.
"""

import re
from typing import Final

from promedical.rubric import Polarity

_SUBJECT: Final = (
    r"(?:it\s+|(?:(?:the|a|an|this|your)\s+)?(?:(?:\w+\s+)?(?:response|answer|solution|explanation|model|text)\s+)?)"
)
_NOT: Final = r"(?:(?:do|does|did|is|are|was|has|have)(?:\s+not|n['\u2019]t)|never|not)\s+"
_BADLY: Final = (
    r"(?:in(?:correct|accurate|appropriate|advertent)ly|wrongly|falsely|erroneously|mistakenly|unnecessarily"
    r"|improperly|prematurely|needlessly|simply|merely|solely|blindly|automatically|only|just|overly|excessively)"
)
_BAD: Final = (
    r"(?:incorrect|inaccurate|irrelevant|unsafe|harmful|wrong|false|misleading|outdated|excessive|unsupported"
    r"|unnecessary|unrelated|extraneous|vague|unclear|incomplete|inappropriate|contradictory|ambiguous|more\s+than)"
)
_GIVING: Final = (
    r"(?:mention|state|include|address|note|specify|list|provide|discuss|explain|describe|consider|identify|recogni[sz]e"
    r"|acknowledge|clarify|emphasi[sz]e|highlight|differentiate|distinguish|indicate|account|cover|define|detail"
    r"|outline|give|offer|show|verify|justify|support|warn|caution|advise|ask|check|compare|connect|link|relate"
    r"|cite|convey|stress|underline|make\s+clear|take\s+into|rule\s+out)(?:s|es|ing)?"
)
_FAILING: Final = (
    r"(?:confus\w*|mistak\w*|invent\w*|fabricat\w*|hallucinat\w*|overlook\w*|ignor\w*|omit\w*|neglect\w*|fail\w*|miss\w*"
    r"|forg[eo]t\w*|misinterpret\w*|misidentif\w*|misrepresent\w*|misappl\w*|misattribut\w*|misclassif\w*|misdiagnos\w*"
    r"|misstat\w*|misunderstand\w*|misuse\w*|mislead\w*|over(?:stat|generali|simplif|complicat|emphasi|us|load|look)\w*"
    r"|understat\w*|conflat\w*|contradict\w*|exaggerat\w*|downplay\w*|dismiss\w*|minimi[sz]\w*|underestimat\w*"
    r"|overestimat\w*|disregard\w*|lack\w*|assum\w*|rel(?:y|ies)\s+(?:solely|only)|jump\w*|speculat\w*)"
)
_AVOIDING: Final = (
    r"(?:avoid\w*|refrain\w*|steer\w*\s+clear|abstain\w*|is\s+free\s+(?:of|from)|(?:guard|warn|caution)\w*\s+against"
    r"|ensur\w*|prevent\w*)"
)
_SUGGESTING: Final = (
    r"(?:recommends?|suggests?|claims?|advises|advocates?|prescribes?|asserts?|concludes?|attributes?"
    r"|presents?\s+\w+\s+as)"
)

_AVOIDED: Final = re.compile(
    rf"{_SUBJECT}(?:(?:must|should|shall|may|can)\s+(?:not|never|avoid)\b|cannot\b|{_AVOIDING}|do\s+not\b"
    rf"|{_NOT}(?:{_BADLY}|{_FAILING}|{_GIVING}\s+(?:(?:an?|any|the)\s+)?(?:\w+ly\s+)?{_BAD}\b))",
    re.IGNORECASE,
)
_FAULT: Final = re.compile(
    rf"{_SUBJECT}(?:{_NOT}(?:\w+ly\s+|even\s+)?{_GIVING}\b|makes?\s+no\s+\w+|(?:\w+ly\s+)?{_FAILING}\b|{_BADLY}\b"
    rf"|(?:\w+ly\s+)?{_SUGGESTING}\b|(?:is|are)\s+(?:too\s+|overly\s+)?{_BAD}\b"
    rf"|(?:includes?|contains?|provides?|gives?|uses?|makes?|offers?)\s+(?:\w+\s+){{0,3}}{_BAD}\b)",
    re.IGNORECASE,
)


def polarity_of_pitfall(text: str) -> Polarity | None:
    """Whether meeting a pitfall as worded speaks for a response or against it; None if its wording does not say."""
    if _AVOIDED.match(text):
        return Polarity.POSITIVE
    if _FAULT.match(text):
        return Polarity.NEGATIVE
    return None
