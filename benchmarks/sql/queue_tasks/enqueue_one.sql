-- enqueue_one() -> one row
-- A job in a transaction of its own; read by pgbench, which wants the semicolon.
-- Called by  benchmarks.measures.notify
select queue_tasks_enqueue_v1('benchmarks.tasks.noop', '[]'::jsonb);
