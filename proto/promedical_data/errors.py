"""What goes wrong with labelled data, as one error."""


class DataError(ValueError):
    """Labelled data cannot be used. The message says what was expected and what to do; it never holds patient text."""
