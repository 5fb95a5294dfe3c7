"""Public medical questions, read from their publishers' files: each row with its licence and where it stood."""
