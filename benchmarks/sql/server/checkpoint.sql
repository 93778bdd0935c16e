-- checkpoint() -> no rows
-- What is to be written to disk is written now, and not while something is measured.
-- Called by  benchmarks.contestants
checkpoint
