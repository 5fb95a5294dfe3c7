"""Tasks and answers to numbers with intervals. Asks nobody and writes nothing."""
