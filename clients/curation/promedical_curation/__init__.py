"""Curation: from public medical questions to criterion-level preference pairs.

A run is a line of stages. A stage takes rows, and every row leaves it in one of three ways (`rows.py`). Rows that need
a language model ask one through `asking/`, which keeps every answer; `pipeline/` runs the stages and knows which of
them are out of date.
"""
