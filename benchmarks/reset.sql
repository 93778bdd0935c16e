-- reset() -> no rows
-- Empty the queue between measurements.
-- Called by  benchmarks.measure
truncate procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers restart identity
