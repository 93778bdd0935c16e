-- queue_tasks_is_followed_v1() -> boolean
-- Whether a session wants to hear what becomes of jobs, another than this one. Two that ask at the same moment may take each other for one that does.
-- Called by  queue_tasks_tell_finished_v1, queue_tasks_tell_scheduled_v1, queries/progress_jobs.sql
-- Locks      the lock of those who follow, where it is free, and gives it back at once
--
-- NOTIFY takes one lock of the whole server when it commits, and holds it until the log is flushed: whoever ends a job would commit
-- after all others who do. To ask takes a microsecond.
create or replace function queue_tasks_is_followed_v1() returns boolean
    language sql
as $body$
    -- One expression: nothing can interrupt a session between the two. It becomes a part of the caller's.
    select case when pg_try_advisory_lock(29046, 0) then not pg_advisory_unlock(29046, 0) else true end
$body$;

comment on function queue_tasks_is_followed_v1() is 'Whether a session wants to hear what becomes of jobs.';
