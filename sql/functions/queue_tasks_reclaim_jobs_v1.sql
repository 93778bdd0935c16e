-- queue_tasks_reclaim_jobs_v1(worker_id, in_hand, older_than, keep) -> id bigint; the jobs taken back
-- Take back jobs that are running under this worker but that it does not have in hand: the answer to the fetch that took
-- them was lost. They are ready again, or aborted if that was asked for.
-- older_than: seconds since the fetch; longer than a fetch can still be under way
-- keep:       seconds the row of an aborted job stays; null: for ever
-- Called by  queries/reclaim_jobs.sql
-- Writes     procrastinate_jobs
-- Locks      the rows changed, by id, then their queueing locks, until commit
-- Index      idx_procrastinate_jobs_worker_not_null
create or replace function queue_tasks_reclaim_jobs_v1(
    p_worker_id bigint,
    p_in_hand bigint[],
    p_older_than double precision,
    p_keep double precision
) returns table (id bigint)
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
#variable_conflict use_column
declare
    v_ids bigint[];
    v_back bigint[];
    v_queueing_locks text[];
begin
    select
        array_agg(h.id),
        array_agg(h.id) filter (where not h.abort_requested and h.queueing_lock is not null),
        array_agg(h.queueing_lock) filter (where not h.abort_requested and h.queueing_lock is not null)
    into v_ids, v_back, v_queueing_locks
    from (
        select j.id, j.queueing_lock, j.abort_requested
        from procrastinate_jobs j
        where j.worker_id = p_worker_id
            and j.status = 'doing'
            and j.id <> all (p_in_hand)
            and j.qt_attempted_at < clock_timestamp() - make_interval(secs => p_older_than)
        order by j.id
        for no key update
    ) h;
    if v_ids is null then
        return;
    end if;

    update procrastinate_jobs j
    set status = case when j.abort_requested then 'aborted' else 'todo' end::procrastinate_job_status,
        abort_requested = false,
        worker_id = null,
        queueing_lock = case when j.abort_requested then j.queueing_lock end,
        qt_started_at = case when j.attempts = 0 and not j.abort_requested then null else j.qt_started_at end,
        qt_finished_at = case when j.abort_requested then clock_timestamp() end,
        qt_expires_at = case when j.abort_requested then clock_timestamp() + make_interval(secs => p_keep) end
    where j.id = any (v_ids);
    perform queue_tasks_take_queueing_locks_v1(v_back, v_queueing_locks);
    return query select unnest(v_ids);
end
$body$;

comment on function queue_tasks_reclaim_jobs_v1(bigint, bigint[], double precision, double precision) is 'Take back jobs that are running under a worker that does not have them in hand.';
