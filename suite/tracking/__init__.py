"""MLflow: runs, metrics and pictures of curves."""
