"""What goes wrong with data and their files, as one error."""


class DataError(ValueError):
    """Data cannot be used, or a file of them cannot be written. It says what was expected and what to do.

    It never holds patient text.
    """
