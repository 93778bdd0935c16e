-- clear() -> no rows
-- Takes away what was added or run since the table was loaded.
-- Called by  benchmarks.measures.flat
set session_replication_role = replica;
delete from procrastinate_jobs where qt_meta is not null or qt_attempted_at is not null;
truncate procrastinate_events;
