"""What runs inside a worker: one process, one framework, one job."""
