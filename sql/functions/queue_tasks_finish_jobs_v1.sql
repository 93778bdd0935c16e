-- queue_tasks_finish_jobs_v1(worker_id bigint, ids bigint[], leases bigint[], outcomes text[], ...) -> the rows written
-- Write how the attempts of many jobs ended. Only rows still running under the given worker and lease are changed; an
-- id that does not come back was lost: the job had been given to another, or is gone.
-- outcomes:    succeeded, failed, aborted, retried, snoozed, released
-- results:     JSON texts, null but for succeeded
-- errors:      JSON objects as text: exception, message, traceback, place, fingerprint, attempt, worker_id; null but for failed, aborted, retried
-- started_ago: seconds before this statement at which the attempt started; null: it never started
-- ended_ago:   seconds before this statement at which the attempt ended
-- waits:       seconds from now until the job is ready again (retried, snoozed); 0 or null: at once
-- untils:      the time at which it is, in place of a wait; by this database's clock, whatever the worker's says
-- keeps:       seconds the finished row stays; null: for ever; 0: delete a succeeded job at once
-- priorities, queue_names, locks: what a retry changes; null: as before
-- A waiting abort request turns retried, snoozed and released into aborted.
-- Called by  queries/finish_jobs.sql
-- Writes     procrastinate_jobs
-- Locks      the rows changed, by id, then the queueing locks of those that come back, until commit
-- Index      procrastinate_jobs_pkey
--
-- The planner is held to one plan: the rows by their ids, then a hash join. It would rather walk all running jobs of the
-- worker and compare each with each outcome; "is not distinct from" keeps it from that index. The memory is as much as the
-- outcomes need, of which the caller has them in his: a hash join short of memory goes through its rows in parts, and so
-- not by id. The plan is for any outcomes, and kept: for one job Postgres 15 would make another at each call, which takes as
-- long as to write it.
create or replace function queue_tasks_finish_jobs_v1(
    p_worker_id bigint,
    p_ids bigint[],
    p_leases bigint[],
    p_outcomes text[],
    p_results text[],
    p_errors text[],
    p_started_ago double precision[],
    p_ended_ago double precision[],
    p_waits double precision[],
    p_untils timestamp with time zone[],
    p_keeps double precision[],
    p_priorities integer[],
    p_queue_names text[],
    p_locks text[]
) returns table (id bigint, status text)
    language plpgsql
    set enable_seqscan = off
    set enable_nestloop = off
    set enable_mergejoin = off
    set enable_bitmapscan = off
    set enable_hashjoin = on
    set work_mem = '1GB'
    set jit = off
    set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    v_two_ways boolean;
    v_come_back boolean := false;
    v_back bigint[];
    v_queueing_locks text[];
begin
    -- One part of the rows is deleted, the other changed; or rows are to be locked before queueing locks.
    v_two_ways := cardinality(p_ids) > 1
        and 0 = any (p_keeps)
        and (0 = all (p_keeps) and 'succeeded' = all (p_outcomes)) is not true;
    if p_outcomes && array['retried', 'snoozed', 'released'] then
        v_come_back := exists (
            select
            from procrastinate_jobs j
            where j.id = any (array(
                select o.id
                from unnest(p_ids, p_outcomes) o (id, outcome)
                where o.outcome = any (array['retried', 'snoozed', 'released'])
            )) and j.queueing_lock is not null
        );
    end if;
    if v_two_ways or v_come_back then
        perform
        from procrastinate_jobs j
        where j.id = any (p_ids) and j.status = 'doing' and j.worker_id is not distinct from p_worker_id
        order by j.id
        for update;
    end if;
    if v_come_back then
        select array_agg(j.id), array_agg(j.queueing_lock) into v_back, v_queueing_locks
        from procrastinate_jobs j
        join unnest(p_ids, p_leases, p_outcomes) o (id, lease, outcome) on o.id = j.id
        where j.id = any (p_ids) and o.outcome = any (array['retried', 'snoozed', 'released'])
            and j.status = 'doing' and j.worker_id is not distinct from p_worker_id and j.qt_lease = o.lease
            and not j.abort_requested and j.queueing_lock is not null;
    end if;

    return query
    with outcome as materialized (
        select
            o.id, o.lease, o.outcome, o.result, o.error, o.keep, o.priority, o.queue_name, o.lock,
            -- Whether the job ends; else it goes back into the line, unless its abort was asked for meanwhile.
            o.outcome = any (array['succeeded', 'failed', 'aborted']) as ends,
            o.outcome = 'succeeded' and o.keep is not distinct from 0 as vanishes,
            statement_timestamp() - make_interval(secs => o.started_ago) as started_at,
            statement_timestamp() - make_interval(secs => o.ended_ago) as ended_at,
            case
                when o.until > statement_timestamp() then o.until
                when o.until is null and o.wait > 0 then statement_timestamp() + make_interval(secs => o.wait)
            end as wait_until
        from unnest(
            p_ids, p_leases, p_outcomes, p_results, p_errors, p_started_ago, p_ended_ago, p_waits, p_untils, p_keeps,
            p_priorities, p_queue_names, p_locks
        ) o (id, lease, outcome, result, error, started_ago, ended_ago, wait, until, keep, priority, queue_name, lock)
        -- Rows are locked in the order of their ids, as everywhere: two statements that meet wait, and do not deadlock.
        order by o.id
    ),
    deleted as (
        delete from procrastinate_jobs j
        using outcome o
        where j.id = any (p_ids) and j.id = o.id
            and j.status = 'doing' and j.worker_id is not distinct from p_worker_id and j.qt_lease = o.lease and o.vanishes
        returning j.id
    ),
    changed as (
        update procrastinate_jobs j
        set status = case
                when o.ends then o.outcome::procrastinate_job_status
                when j.abort_requested then 'aborted'
                else 'todo'
            end,
            abort_requested = false,
            -- The largest number there is stays what it is.
            attempts = least(j.attempts, 2147483646) + case when o.outcome = any (array['snoozed', 'released']) then 0 else 1 end,
            scheduled_at = case when not o.ends and not j.abort_requested then o.wait_until end,
            priority = coalesce(o.priority, j.priority),
            queue_name = coalesce(o.queue_name, j.queue_name),
            lock = coalesce(o.lock, j.lock),
            queueing_lock = case when o.ends or j.abort_requested then j.queueing_lock end,
            worker_id = case when o.outcome = 'released' then null else j.worker_id end,
            qt_started_at = case
                when o.outcome = 'released' and j.attempts = 0 then null
                when o.started_at is not null and j.attempts = 0 then o.started_at
                else j.qt_started_at
            end,
            qt_attempted_at = coalesce(o.started_at, j.qt_attempted_at),
            qt_finished_at = case when o.ends or j.abort_requested then coalesce(o.ended_at, statement_timestamp()) end,
            -- Failed jobs are always kept.
            qt_expires_at = case
                when o.outcome = 'succeeded' or o.outcome = 'aborted' or (not o.ends and j.abort_requested)
                then statement_timestamp() + make_interval(secs => o.keep)
            end,
            qt_result = o.result::jsonb,
            -- The newest hundred errors: a job retried for ever must not grow for ever.
            qt_errors = case
                when o.error is null then j.qt_errors
                else case
                    when jsonb_typeof(j.qt_errors) is distinct from 'array' then '[]'::jsonb
                    when jsonb_array_length(j.qt_errors) >= 100 then j.qt_errors - 0
                    else j.qt_errors
                end || (o.error::jsonb || jsonb_build_object('started_at', o.started_at, 'finished_at', o.ended_at))
            end
        from outcome o
        where j.id = any (p_ids) and j.id = o.id
            and j.status = 'doing' and j.worker_id is not distinct from p_worker_id and j.qt_lease = o.lease and not o.vanishes
        returning j.id, j.status
    )
    select d.id, 'succeeded'::text from deleted d
    union all
    select c.id, c.status::text from changed c;
    if v_back is not null then
        perform queue_tasks_take_queueing_locks_v1(v_back, v_queueing_locks);
    end if;
end
$body$;

comment on function queue_tasks_finish_jobs_v1(bigint, bigint[], bigint[], text[], text[], text[], double precision[], double precision[], double precision[], timestamp with time zone[], double precision[], integer[], text[], text[]) is 'Write the outcomes of many attempts under their fence; returns the rows written.';
