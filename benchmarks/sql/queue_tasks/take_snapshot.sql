-- take_snapshot() -> one row
-- The first statement of a transaction takes its snapshot; the transaction stays open until the session ends.
-- Called by  benchmarks.measures.snapshot
select count(*) from procrastinate_jobs
