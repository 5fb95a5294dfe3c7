"""What a user of curation can get wrong, and what the outside world can."""


class CurationError(Exception):
    """The run cannot start or cannot continue. The message names the value, what was expected and what to do."""
