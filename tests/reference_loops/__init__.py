"""Good hand-written training loops, a folder per task or variant. Engines are held against them.

An abstraction that costs speed is a defect: ``python -m tests.reference_loops`` shows it. A module
is named ``<backend>_<what>`` and has ``prepare(chunk, params) -> run``: the task's first training
chunk on the host, the initial parameters by canonical name; ``run()`` trains one pass over the
steps of the chunk and returns when the work is done. ``<backend>_loop`` is what the engine must not
lose to; others are there for orientation.
"""
