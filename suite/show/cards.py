"""The work of a graphics card, as a sentence."""

from __future__ import annotations

from suite.records.record import Record


def line(record: Record) -> str | None:
    """A sentence on what training took of the card; None if it was not trained on one."""
    card = record.worker.get("card", {})
    if "joules" not in card:
        return None
    name, what = card["name"], record.unit.removesuffix("/s")
    samples = sum(chunk["samples"] for chunk in record.chunks)
    said = []
    if card["joules"] is not None and samples and record.resumed is None:
        said.append(f"{1e6 * card['joules'] / samples:.3g} J per million {what}")
    if card["watts"] is not None:
        said.append(f"{card['watts']:.0f} W")
    if card["celsius_max"] is not None:
        said.append(f"at most {card['celsius_max']} degrees Celsius")
    if card["process_bytes_max"] is not None:
        said.append(f"{card['process_bytes_max'] / 1e9:.2f} GB")
    if record.worker.get("device_clock") is not None:
        said.append(f"its own clock saw {record.worker['device_clock']:.1%} of the train seconds")
    if card["slowed_by"]:
        said.append(f"slowed by {', '.join(card['slowed_by'])}")
    return f"{record.cell.backend_label} seed {record.cell.seed} on {name}: {', '.join(said)}"
