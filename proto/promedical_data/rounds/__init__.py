"""Rounds of rubric review: what curation hands to physicians, and the decisions that come back."""
