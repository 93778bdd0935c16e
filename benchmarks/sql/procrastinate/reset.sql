-- reset() -> no rows
-- No job of before, no trace of one.
-- Called by  benchmarks.contestants
truncate procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers restart identity
