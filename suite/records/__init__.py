"""Records: what is kept, and what is computed from it alone."""
