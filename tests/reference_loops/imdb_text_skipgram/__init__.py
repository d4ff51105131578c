"""Skip-gram with negative sampling, on the pairs of a chunk."""
