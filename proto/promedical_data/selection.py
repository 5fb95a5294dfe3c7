"""The choice of prompts by source."""

from collections.abc import Collection, Sequence

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
