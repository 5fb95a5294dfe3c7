"""What every training run has: recipe files, checkpoints, lineage, processes, progress."""
