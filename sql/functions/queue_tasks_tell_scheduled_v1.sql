-- queue_tasks_tell_scheduled_v1(first timestamptz, id bigint) -> void
-- Tell workers that jobs were scheduled, of which the first is due then; id: the least of theirs, null: of jobs that were there before.
-- Of a job that is due in five minutes or later only those are told who follow: each worker looks more often for what is due
-- next. Nor is anybody told where each wakes before anyway, for another job.
-- Called by  the triggers on procrastinate_jobs
--
-- A transaction that ends when its job is nearly due, minutes after it was written, waits for a worker's look.
create or replace function queue_tasks_tell_scheduled_v1(p_first timestamp with time zone, p_id bigint) returns void
    language sql
as $body$
    -- Without a "from": it becomes a part of the caller's expression, and nothing is executed.
    select case
        when queue_tasks_is_followed_v1()
            or (p_first < clock_timestamp() + interval '5 minutes' and not queue_tasks_is_due_before_v1(p_first, p_id))
        then pg_notify('queue_tasks_scheduled', '')
    end
$body$;

comment on function queue_tasks_tell_scheduled_v1(timestamp with time zone, bigint) is 'Tell workers that jobs were scheduled, unless they find out in time anyway.';
