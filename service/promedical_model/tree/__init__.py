"""The token tree, and a decoder that scores every path of it in one pass."""
