-- queue_tasks_promote_jobs_v1(max_jobs integer) -> one row: promoted integer, next_due_in, next_due_at double precision
-- Make ready up to max_jobs scheduled jobs whose time has come, earliest first. next_due_in: seconds until the next one
-- is due, 0 when more may be due already, null when none is scheduled. next_due_at: when that is, in seconds since 1970, as
-- queue_tasks_look_v1 says it. Parked jobs are left alone.
-- Called by  queries/promote_jobs.sql
-- Writes     procrastinate_jobs (scheduled_at)
-- Locks      the rows promoted, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_scheduled_idx
create or replace function queue_tasks_promote_jobs_v1(p_max_jobs integer)
    returns table (promoted integer, next_due_in double precision, next_due_at double precision)
    language plpgsql
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_bitmapscan = off
    set jit = off
as $body$
declare
    -- A volatile function is no bound for an index: with the time in a variable the scan ends at the first job not due.
    v_now timestamp with time zone := clock_timestamp();
begin
    with due as materialized (
        select j.id
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at <= v_now
        order by j.scheduled_at
        limit p_max_jobs
        for update skip locked
    )
    update procrastinate_jobs j
    set scheduled_at = null
    where j.id = any (array(select d.id from due d));
    get diagnostics promoted = row_count;
    if promoted = p_max_jobs then
        next_due_in := 0;
    else
        -- Rows due already are being promoted by another worker at this moment: not ours to wait for.
        select
            greatest(extract(epoch from j.scheduled_at - clock_timestamp()), 0),
            date_part('epoch', j.scheduled_at)
        into next_due_in, next_due_at
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at > v_now and j.scheduled_at < queue_tasks_parked_until_v1()
        order by j.scheduled_at
        limit 1;
    end if;
    return next;
end
$body$;

comment on function queue_tasks_promote_jobs_v1(integer) is 'Make ready the scheduled jobs whose time has come.';
