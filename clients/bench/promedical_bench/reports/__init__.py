"""Reports of measurements: one content, as Markdown, as JSON and as one HTML file that needs nothing else."""
