-- silent() -> no rows
-- A database in which nobody is woken, to measure what it costs to wake.
-- Called by  benchmarks.measures.notify
create or replace function queue_tasks_wake_queues_v1(p_queues text[]) returns void language sql as 'select'
