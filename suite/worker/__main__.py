"""``python -m suite.worker EVENTS_FD``, the job on standard input."""

from suite.worker.main import main

main()
