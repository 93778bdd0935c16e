-- queue_tasks_is_due_before_v1(first timestamptz, id bigint) -> boolean
-- Whether a job is due before jobs that were scheduled now, of which the first is due then; id: the least of theirs, null: of
-- jobs that were there before. Every worker wakes for it, and looks for the next. It is not one that is due so soon that it
-- may come before this transaction can be seen. A longer one whose job is due at once waits for a worker's poll.
-- Called by  queue_tasks_tell_scheduled_v1
-- Index      procrastinate_jobs_qt_scheduled_idx: from now on, not from its beginning, where the entries of promoted jobs are
create or replace function queue_tasks_is_due_before_v1(p_first timestamp with time zone, p_id bigint) returns boolean
    language plpgsql
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_sort = off
as $body$
declare
    -- A volatile function is no bound for an index.
    v_soon timestamp with time zone := clock_timestamp() + interval '1 second';
begin
    -- A producer may read no job; in one expression with the question he would be refused.
    if not has_column_privilege('procrastinate_jobs', 'scheduled_at', 'select') then
        return false;
    end if;
    return exists (
        select
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at > v_soon and j.scheduled_at <= p_first
            and (j.scheduled_at < p_first or j.id < p_id)
    );
end
$body$;

comment on function queue_tasks_is_due_before_v1(timestamp with time zone, bigint) is 'Whether a job is due before jobs that were scheduled now.';
