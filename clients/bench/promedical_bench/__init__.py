"""The bench: labelled data, what an oracle says about them, and how good its verdicts are. A client like any other."""
