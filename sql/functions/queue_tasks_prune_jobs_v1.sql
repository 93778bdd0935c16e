-- queue_tasks_prune_jobs_v1(max_jobs integer) -> integer
-- Delete up to max_jobs finished jobs whose time to be kept is over, and their events. Returns how many: ask again
-- while it is max_jobs. Small chunks keep each transaction, and what it holds back from vacuum, short.
-- Called by  queries/prune_jobs.sql
-- Writes     procrastinate_jobs, procrastinate_events (by trigger)
-- Locks      the rows deleted, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_expires_idx
create or replace function queue_tasks_prune_jobs_v1(p_max_jobs integer) returns integer
    language plpgsql
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_bitmapscan = off
    set jit = off
as $body$
declare
    v_deleted integer;
begin
    with expired as materialized (
        select j.id
        from procrastinate_jobs j
        where j.qt_expires_at <= statement_timestamp()
            and j.status = any (array['succeeded', 'cancelled', 'aborted']::procrastinate_job_status[])
        order by j.qt_expires_at
        limit p_max_jobs
        for update skip locked
    )
    delete from procrastinate_jobs j where j.id = any (array(select e.id from expired e));
    get diagnostics v_deleted = row_count;
    return v_deleted;
end
$body$;

comment on function queue_tasks_prune_jobs_v1(integer) is 'Delete finished jobs whose time to be kept is over.';
