-- end_one() -> no rows
-- A job ends and runs again, each in a transaction of its own, as those of atomic tasks do; read by pgbench, each of whose clients has one job.
-- Called by  benchmarks.measures.notify
\set id :client_id + 1
update procrastinate_jobs set status = 'succeeded', qt_finished_at = clock_timestamp() where id = :id;
update procrastinate_jobs set status = 'doing', qt_finished_at = null where id = :id;
