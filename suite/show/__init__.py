"""Terminal output: tables, speeds, progress."""
