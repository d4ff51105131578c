"""Sessions: plans, workers that take turns, verification, and what is judged of them."""
