"""The one error for data and their files."""


class DataError(ValueError):
    """Data cannot be used, or a file of them cannot be written. The message says what was expected and what to do.

    The message never holds patient text.
    """
