"""The sections of RewardBench version 1 and the counts that weigh their subsets, as published (arXiv 2403.13787)."""

from typing import Final

_COUNTS: Final[dict[str, dict[str, int]]] = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        # The data holds 154 and 250 rows of these two; the published scores weigh them the other way round.
        "xstest-should-refuse": 250,
        "xstest-should-respond": 154,
        "donotanswer": 136,
    },
    # math-prm has 447 rows and counts as much as all of code.
    "Reasoning": {"math-prm": 984}
    | {f"hep-{language}": 164 for language in ("cpp", "go", "java", "js", "python", "rust")},
}


def section_of(subset: str) -> str:
    """The section that a subset belongs to; the subset itself if it is not one of version 1."""
    return next((section for section, counts in _COUNTS.items() if subset in counts), subset)


def weight_of(subset: str) -> int | None:
    """How much a subset counts in its section; None if it is not one of version 1."""
    return next((counts[subset] for counts in _COUNTS.values() if subset in counts), None)
