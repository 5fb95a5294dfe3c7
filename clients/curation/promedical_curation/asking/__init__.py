"""Asks language models, and keeps every answer under what was asked.

This room knows no row and no stage. An answer is in the store before anybody sees it, so a process that is killed
loses only the calls that were in flight, and the same request never costs twice.
"""
