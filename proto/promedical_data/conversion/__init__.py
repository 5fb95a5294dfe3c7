"""From publishers' files to a file of labelled data, with a report of what was left out and why."""
