"""A folder with the /proc and /sys of a made-up machine."""

from __future__ import annotations

from pathlib import Path


def write(root: Path, texts: dict[str, str]) -> Path:
    """Writes files below ``root``, which is returned."""
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root
