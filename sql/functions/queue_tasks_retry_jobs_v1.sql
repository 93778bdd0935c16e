-- queue_tasks_retry_jobs_v1(ids bigint[], wait, args, lock) -> id bigint; the jobs that run once more
-- Make finished jobs ready to run once more. Errors and attempts stay: they are the job's history.
-- A scheduled job becomes ready now; running ones stay as they are.
-- wait:      seconds from now until they are ready; null: at once, and workers are woken
-- args:      what their tasks are given in place of what they were; null: that. Checked by the caller, as at enqueue
-- lock:      theirs in place of what it was, which the arguments may tell; null: that
-- Called by  queries/retry_jobs.sql
-- Writes     procrastinate_jobs
-- Locks      the rows changed, by id, then their queueing locks, until commit
-- Index      procrastinate_jobs_pkey
create or replace function queue_tasks_retry_jobs_v1(
    p_ids bigint[],
    p_wait double precision default null,
    p_args jsonb default null,
    p_lock text default null
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
        array_agg(h.id) filter (where h.status <> 'todo' and h.queueing_lock is not null),
        array_agg(h.queueing_lock) filter (where h.status <> 'todo' and h.queueing_lock is not null)
    into v_ids, v_back, v_queueing_locks
    from (
        select j.id, j.status, j.queueing_lock
        from procrastinate_jobs j
        where j.id = any (p_ids)
            and (
                j.status = any (array['failed', 'cancelled', 'aborted', 'succeeded']::procrastinate_job_status[])
                or (j.status = 'todo' and j.scheduled_at < queue_tasks_parked_until_v1())
            )
        order by j.id
        for no key update
    ) h;
    if v_ids is null then
        return;
    end if;

    update procrastinate_jobs j
    set status = 'todo',
        scheduled_at = statement_timestamp() + make_interval(secs => p_wait),
        args = coalesce(p_args, j.args),
        lock = coalesce(p_lock, j.lock),
        abort_requested = false,
        qt_finished_at = null,
        qt_expires_at = null,
        qt_result = null,
        qt_crashes = 0,
        qt_meta = nullif(j.qt_meta - 'progress', '{}'::jsonb),
        queueing_lock = case when j.status = 'todo' then j.queueing_lock end
    where j.id = any (v_ids);
    perform queue_tasks_take_queueing_locks_v1(v_back, v_queueing_locks);
    return query select unnest(v_ids);
end
$body$;

comment on function queue_tasks_retry_jobs_v1(bigint[], double precision, jsonb, text) is 'Make finished jobs ready to run once more.';
