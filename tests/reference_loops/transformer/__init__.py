"""The transformer that translates German to English."""
