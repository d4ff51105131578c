"""The film reviews' bag-of-words model."""
