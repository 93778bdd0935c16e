-- queue_tasks_refuse_abort_v1() -> void; always raises
-- Keep the promise of upstream's check constraint: a job that waits has no abort request. Checked once a statement; Postgres reads a
-- constraint from its text in each statement, which was a seventeenth of what it does for an enqueue.
-- Called by  the triggers on procrastinate_jobs
-- Raises     23514 check_violation
create or replace function queue_tasks_refuse_abort_v1() returns void
    language plpgsql
as $body$
begin
    raise exception 'procrastinate_jobs.abort_requested: a job that waits (status todo) cannot be aborted'
        using
            errcode = 'check_violation',
            table = 'procrastinate_jobs',
            constraint = 'check_not_todo_abort_requested',
            hint = 'Cancel it; to abort is for a job that runs.';
end
$body$;

comment on function queue_tasks_refuse_abort_v1() is 'Refuse an abort request for a job that is not running.';
