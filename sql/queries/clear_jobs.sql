-- clear_jobs() -> no rows
-- Delete every job with its events and ticks; workers stay. For tests that commit.
-- Called by  testing.clear
-- Locks      access exclusive on the three tables, until commit
truncate table procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers
