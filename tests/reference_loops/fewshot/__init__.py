"""The siamese network for one-shot recognition."""
