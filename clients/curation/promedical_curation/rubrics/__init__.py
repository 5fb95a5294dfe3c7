"""From drafts to a rubric that is worth a physician's minutes: two drafters are merged, and a gate lets through."""
