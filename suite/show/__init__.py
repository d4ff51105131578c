"""What a terminal shows: tables, speeds, progress."""
