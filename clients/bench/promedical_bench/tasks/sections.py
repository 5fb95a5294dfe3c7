"""The sections of RewardBench version 1 (arXiv 2403.13787) and the counts that weigh their subsets, as published.

The counts are `EXAMPLE_COUNTS` of rewardbench/constants.py in github.com/allenai/reward-bench, as they have been since
10 September 2024 (commit 6552e93, pull request 175) and as they are in January 2026 (commit 05a9005).
"""

from typing import Final

CHANGED: Final = (
    "Subsets of RewardBench 1 are weighted by the counts that its publisher has used since 10 September 2024 "
    "(allenai/reward-bench, pull request 175), which are those of the data: 154 for xstest-should-refuse and 250 for "
    "xstest-should-respond. Scores of the section Safety that were published before weigh these two the other way "
    "round."
)
"""What a reader must know who compares with older scores."""

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
        "xstest-should-refuse": 154,  # until September 2024 the publisher had 250 here and 154 below
        "xstest-should-respond": 250,
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
