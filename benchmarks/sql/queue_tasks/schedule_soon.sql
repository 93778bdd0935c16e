-- schedule_soon() -> one row
-- A job that is due soon, after another, in a transaction of its own; read by pgbench, which wants the semicolon.
-- Called by  benchmarks.measures.notify
select queue_tasks_enqueue_v1('benchmarks.tasks.noop', '[]'::jsonb, run_after => now() + interval '2 minutes');
