-- queue_tasks_follow_v1() -> void
-- Say that this session wants to hear what becomes of jobs: from now on, until it ends, their ends, progress and due times are told of.
-- For a session that listens; told is what other sessions do. It holds an advisory lock and no row: whoever dies follows no more, it
-- is seen in every isolation level at once, and who may only read may follow.
-- Called by  queries/follow.sql; whoever listens to queue_tasks_finished, queue_tasks_progress or queue_tasks_scheduled
-- Locks      an advisory lock of the session, shared by all who follow
--
-- A transaction that found nobody before, and is not over yet, tells nobody. Who must miss nothing lists those that write jobs after
-- this (queries/list_writers.sql), and looks once more when they have ended.
create or replace function queue_tasks_follow_v1() returns void
    language sql
as $body$
    select pg_advisory_lock_shared(29046, 0)
$body$;

comment on function queue_tasks_follow_v1() is 'Say that this session wants to hear what becomes of jobs.';
