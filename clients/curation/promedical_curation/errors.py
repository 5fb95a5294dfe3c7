"""What a user of curation can get wrong, and what the outside world can."""


class CurationError(Exception):
    """The run cannot start or cannot continue. The message names the value, what was expected and what to do."""


class StoppedError(CurationError):
    """The run stopped before its end, through no fault of its input. The same command resumes it."""


class TooManyFailedError(CurationError):
    """More rows of a stage failed than the run allows."""
