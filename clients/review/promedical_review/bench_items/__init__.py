"""Bench items: answers rated double-blind, checkpoint by checkpoint, and adjudicated where raters differ.

Invariants:
- What a rater reads comes from `blind`, which has no model, judge, peer or gold; ids are opaque.
- An adjudicator rated no version of the item and sees opinions without their raters.
- A verdict of a rater is never changed by adjudication: agreement is measured on what raters said.
"""
