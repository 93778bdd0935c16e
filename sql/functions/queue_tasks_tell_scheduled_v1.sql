-- queue_tasks_tell_scheduled_v1(first timestamptz, id bigint) -> void
-- Tell workers that jobs were scheduled, of which the first is due then; id: the least of theirs, null: of jobs that were there before.
-- Nobody is told where another job is due earlier, for which every worker wakes anyway, and looks for the next: unless
-- that is so soon that it may come before this transaction can be seen. A longer one whose job is due at once waits for a worker's poll.
-- Called by  the triggers on procrastinate_jobs
-- Index      procrastinate_jobs_qt_scheduled_idx: from now on, not from its beginning, where the entries of promoted jobs are
create or replace function queue_tasks_tell_scheduled_v1(p_first timestamp with time zone, p_id bigint) returns void
    language plpgsql
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_sort = off
as $body$
declare
    -- A volatile function is no bound for an index.
    v_soon timestamp with time zone := clock_timestamp() + interval '1 second';
    v_told boolean;
begin
    -- A producer may read no job.
    if queue_tasks_is_followed_v1() or not has_column_privilege('procrastinate_jobs', 'scheduled_at', 'select') or not exists (
        select
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at > v_soon and j.scheduled_at <= p_first
            and (j.scheduled_at < p_first or j.id < p_id)
    )
    then
        -- Assigned, not performed: see queue_tasks_wake_queue_v1.
        v_told := pg_notify('queue_tasks_scheduled', '') is null;
    end if;
end
$body$;

comment on function queue_tasks_tell_scheduled_v1(timestamp with time zone, bigint) is 'Tell workers that jobs were scheduled, unless they wake before anyway.';
