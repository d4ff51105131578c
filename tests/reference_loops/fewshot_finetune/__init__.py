"""The fine-tuning of all episodes at once, from embeddings."""
