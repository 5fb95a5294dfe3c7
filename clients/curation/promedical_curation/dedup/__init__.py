"""Which questions stand for which: equal, nearly equal in words, or alike in meaning, and never against the guard."""
