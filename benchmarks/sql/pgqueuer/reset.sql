-- reset() -> no rows
-- No job of before, no trace of one.
-- Called by  benchmarks.contestants
truncate pgqueuer, pgqueuer_log, pgqueuer_statistics
