"""Shadow scoring: a candidate scores a share of the requests too, out of the callers' way; answers are compared."""
