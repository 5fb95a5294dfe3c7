"""The choice of prompts by source, of criteria by id, and of some of them by a hash."""

import hashlib
from collections.abc import Collection, Sequence

from promedical.rubric import InvalidField, Rubric
from promedical_data.errata import ERRATA, errata_in
from promedical_data.errors import DataError
from promedical_data.labelled import LabelledPrompt


def without_sources(prompts: Sequence[LabelledPrompt], sources: Collection[str]) -> tuple[LabelledPrompt, ...]:
    """The prompts that do not come from these sources, for example because a licence does not allow the use.

    Raises:
        DataError: A source does not exist, so that a misspelt name does not go unseen; or no prompt is left.
    """
    known = {prompt.source for prompt in prompts}
    unknown = sorted(set(sources) - known)
    if unknown:
        raise DataError(
            f"source {unknown[0]!r} is not in the data; it has {', '.join(sorted(known)) or 'none'}; "
            "exclude_sources of a recipe may name only those, and [] excludes none"
        )
    left = tuple(prompt for prompt in prompts if prompt.source not in sources)
    if not left:
        raise DataError(f"no prompt is left without {', '.join(sorted(sources))}; name fewer sources")
    return left


def without_criteria(prompts: Sequence[LabelledPrompt], names: Collection[str]) -> tuple[LabelledPrompt, ...]:
    """The prompts without these criteria; a prompt whose other criteria make no rubric is left out.

    Args:
        prompts: The prompts.
        names: Ids of criteria, as CRITERION for all prompts or PROMPT/CRITERION for one; "errata" names those that are
            known to have the wrong sign.

    Raises:
        DataError: A criterion does not exist, so that a misspelt id does not go unseen; or no prompt is left.
    """
    if not names:
        return tuple(prompts)
    wanted = {*names, *(errata_in(prompts) if ERRATA in names else ())} - {ERRATA}
    known = {name for prompt in prompts for each in prompt.criteria for name in _names(prompt, each.id)}
    unknown = wanted - known
    if unknown:
        raise DataError(
            f"criterion {min(unknown)!r} is not in the data; name a criterion by its id, as CRITERION or "
            f"PROMPT/CRITERION, or give {ERRATA}"
        )
    kept = (prompt.without_criteria(_ids(prompt, wanted)) for prompt in prompts)
    left = tuple(prompt for prompt in kept if _has_rubric(prompt))
    if not left:
        raise DataError("no prompt is left without these criteria; name fewer")
    return left


def drawn_prompts(prompts: Sequence[LabelledPrompt], most: int | None) -> tuple[LabelledPrompt, ...]:
    """At most so many prompts, drawn by a hash of their ids: files list kinds and sources one after the other."""
    ranked = sorted(prompts, key=lambda each: hashlib.sha256(each.id.encode()).digest())
    kept = {each.id for each in ranked[:most]}
    return tuple(each for each in prompts if each.id in kept)


def drawn_responses(prompt: LabelledPrompt, most: int | None) -> LabelledPrompt:
    """The prompt with at most so many responses, drawn by a hash: files list models one after the other."""
    ranked = sorted(prompt.responses, key=lambda each: hashlib.sha256(f"{prompt.id}/{each.id}".encode()).digest())
    kept = {each.id for each in ranked[:most]}
    return prompt.with_responses(tuple(each for each in prompt.responses if each.id in kept))


def _names(prompt: LabelledPrompt, criterion_id: str) -> tuple[str, str]:
    return criterion_id, f"{prompt.id}/{criterion_id}"


def _ids(prompt: LabelledPrompt, wanted: set[str]) -> set[str]:
    return {each.id for each in prompt.criteria if not wanted.isdisjoint(_names(prompt, each.id))}


def _has_rubric(prompt: LabelledPrompt) -> bool:
    try:
        Rubric(criteria=prompt.criteria)
    except InvalidField:
        return False
    return True
