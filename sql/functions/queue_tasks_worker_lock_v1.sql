-- queue_tasks_worker_lock_v1(worker_id bigint) -> bigint
-- The key of the session advisory lock that a worker of ours holds while it lives. 29044 is "qt" in ASCII.
-- Called by  queries/hold_lock.sql, queue_tasks_rescue_jobs_v1
create or replace function queue_tasks_worker_lock_v1(p_worker_id bigint) returns bigint
    language sql immutable parallel safe
as $body$
    select (29044::bigint << 47) | p_worker_id
$body$;

comment on function queue_tasks_worker_lock_v1(bigint) is 'The key of a worker''s advisory lock.';
