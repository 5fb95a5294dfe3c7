"""Admission, order and batches: trees wait here until the engine is free."""
