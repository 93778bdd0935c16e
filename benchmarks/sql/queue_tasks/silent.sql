-- silent() -> no rows
-- A database in which nobody is told of anything, to measure what it costs to tell.
-- Called by  benchmarks.measures.notify
create or replace function queue_tasks_wake_queue_v1(p_queue text) returns void language sql as 'select';
create or replace function queue_tasks_tell_finished_v1(p_ids bigint[]) returns void language sql as 'select';
create or replace function queue_tasks_tell_scheduled_v1(p_first timestamptz, p_id bigint) returns void language sql as 'select'
