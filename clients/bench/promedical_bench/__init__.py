"""The bench harness: labelled data, what an oracle says of it, and how good that is. A client like any other."""
