"""Rounds of rubric review: from curation's round file, through physicians' hands, to its file of decisions."""
