"""Training: the reward model by Explicit Criteria Injection (`rm`)."""
