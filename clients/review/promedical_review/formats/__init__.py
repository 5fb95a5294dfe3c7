"""Work in and out: files of ours without loss, files of other tools, and published labels as raters' verdicts."""
