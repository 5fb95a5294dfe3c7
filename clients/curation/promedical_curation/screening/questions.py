"""Whether a text asks for anything: a question, a request, a sentence to complete, or a complaint told to a doctor."""

import re
from typing import Final

_ASKED: Final = (
    "what(?:'?s)?|which|who|whose|whom|when|where|why|how|is|are|am|was|were|do|does|did|can|could|should|would|will|"
    "shall|may|might|must|has|have|had|any"
)
_REQUESTED: Final = (
    "please|kindly|explain|describe|discuss|define|list|name|provide|give|write|tell|compare|"
    "contrast|outline|identify|analy[sz]e|assess|evaluate|create|develop|design|summari[sz]e|generate|"
    "classify|interpret|propose|suggest|recommend|advise|differentiate|distinguish|estimate|explore|"
    "determine|examine|reflect|calculate|characteri[sz]e|illustrate|elaborate|rewrite|translate|"
    "simplify|compose|consider|imagine|highlight|diagnose|predict|prepare|formulate|draft|find|help|"
    "show|use|using|state|detail|articulate|review|investigate|construct|convert|correct|complete|"
    "choose|select|match|answer|ask|engage|extract|categori[sz]e|rank|prioriti[sz]e|plan|demonstrate|"
    "clarify|critique|critically|briefly|arrange|justify|mention|enumerate|make|making|comment|talk|"
    "present|rephrase|conduct|prescribe|confirm|consolidate|combine|start|deduce|elucidate|infer|"
    "share|simulate|respond|teach|expand|condense|paraphrase|debate|argue|report|act|role-?play|"
    "check|verify|look"
)
_SOUGHT: Final = (
    "symptoms?|signs?|causes?|treatments?|side effects?|dos(?:e|es|age)|uses?|types?|stages?|complications?|diagnosis|"
    "prevention|prognosis|difference|management|remed(?:y|ies)|cures?|tests?|diet|risks?|benefits?|interactions?"
)
_START: Final = (
    r"(?:^|[.!;:,\n]\s*|\b(?:and|so|but|or|ok|okay|also|then|please|kindly|doctor|doc|hi|hello|hey|you)\b,?\s+)"
)
_ASKS: Final = (
    re.compile(r"\?|\N{FULLWIDTH QUESTION MARK}"),
    re.compile(rf"{_START}(?:{_ASKED}|{_REQUESTED})\b\W+\w", re.IGNORECASE | re.MULTILINE),
    re.compile(
        r"\b(?:what|which|who|when|where|why|how) (?:is|are|was|were|do|does|did|can|could|should|would|will|to|about|"
        r"if|kind|type|much|many|long|often|soon)\b",
        re.IGNORECASE,
    ),
    re.compile(rf"^\W*(?:\w+\s+){{0,2}}(?:{_SOUGHT}) (?:of|for|in|with|between|to|after)\b", re.IGNORECASE),
    re.compile(
        r"\b(?:i (?:want|need|would like|wish|wonder)|i'[md] (?:wondering|like)|let me know|tell me|"
        r"(?:any|need|want) (?:advice|suggestions?|help))\b",
        re.IGNORECASE,
    ),
    re.compile(r"Answer Choices:|^\s*\(?[A-Ea-e][.)]\s+\S.*\n\s*\(?[B-Fb-f][.)]\s+\S|\bA[.)] .+ B[.)] ", re.MULTILINE),
    re.compile(r"(?:[:_]|\.\.\.|\b(?:is|are|except|by|of|in|with|to|the)\b\s*[:.-]?)\s*$", re.IGNORECASE),
)
"""A question mark, a clause that asks or requests, a sought thing, a wish, choices, and a sentence to complete."""
_FIRST_PERSON: Final = re.compile(r"\b(?:i|i'(?:m|ve|d)|im|ive|my|me|we|our)\b", re.IGNORECASE)
_COURTESY: Final = re.compile(r"\b(?:thanks?|thankful|grateful|appreciate|bye|welcome)\b", re.IGNORECASE)
_LEAST_WORDS: Final = 4
"""Of a complaint: `I have a fever` is one."""


def asks(text: str) -> bool:
    """Whether somebody would expect an answer to an English text."""
    plain = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").strip()
    if any(way.search(plain) for way in _ASKS):
        return True
    told = _FIRST_PERSON.search(plain) and len(plain.split()) >= _LEAST_WORDS
    return bool(told and not _COURTESY.search(plain))
