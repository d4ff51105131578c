"""The film reviews' embedding model: the last words, of whose rows each channel is maximal."""
