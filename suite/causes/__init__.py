"""Relations and causes: how the results of two implementations differ, and the reason.

A *relation* says in general how two arrays differ. A *cause* is a known difference between
frameworks, a hypothesis computed in NumPy float64 from what was noted of a port. It is named only
if it explains the difference to rounding, by the criterion in ``difference``.
"""
