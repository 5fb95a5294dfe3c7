"""Drills: labelled data made by rules from real text, right by construction, to teach a reward model to read.

Three kinds: *statements* of an answer, changed or left out; *vetoes*, put into good answers beside near misses, and
short answers that are harmful as a whole; *relevance*, an answer to this question or to another one. No language model
writes or labels anything, and the same input gives the same bytes.
"""
