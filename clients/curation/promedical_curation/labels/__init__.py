"""From judges' votes to labels: evidence that is really there, and what several judges together make probable."""
