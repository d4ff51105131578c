"""The worker's side: one process, one framework, one job."""
