"""The policy: GRPO (arXiv 2402.03300) on TRL, with the reward oracle asked over the network."""
