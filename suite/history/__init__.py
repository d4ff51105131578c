"""``tetragrad history``: a metric of a task over the sessions that MLflow knows."""
