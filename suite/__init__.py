"""Who runs it: contract, runner, worker, clock, records, tracking, equivalence, command line."""
