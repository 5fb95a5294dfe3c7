"""The next turn after an answer that cannot be used. Pure: its request has a key of its own, so it is kept as well."""

from dataclasses import replace

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.failures import RepairableError
from promedical_curation.asking.requests import Request

_QUOTED_CHARACTERS = 2000


def repaired(first: Request, answer: Answer, problem: RepairableError, turn: int) -> Request:
    """The first request, followed by the answer and by what was wrong with it.

    Of several failed answers only the last is shown, so that repairs do not grow. A long one is shown in part.
    """
    turns = [{"role": "user", "content": problem.advice}]
    if answer.text.strip():
        turns.insert(0, {"role": "assistant", "content": answer.text[:_QUOTED_CHARACTERS]})
    marked = f"{first.prompt_version}+repair{turn}"  # two turns with the same answer are two questions
    return replace(first.continued(*turns), prompt_version=marked)
