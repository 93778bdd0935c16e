-- queue_tasks_rescue_jobs_v1(dead_after, silent_after, max_crashes, keep, max_jobs) -> 0..max_jobs rows: id, status, worker_id, crashes
-- Take back the running jobs of dead workers, and forget workers that have none left. No attempt is spent. A crash is
-- counted apart from attempts: the first for every job the worker had in hand, further ones only for a job whose body
-- was noted to have started. A job that reaches max_crashes so is a poison pill and fails; the others are ready again.
-- dead_after:   seconds; a worker silent for longer is dead, lock or not. The only rule for stock workers.
-- silent_after: seconds; a worker of ours silent for longer is dead if its advisory lock is free as well; without a job,
--               which makes it beat more seldom, after twice as long. If it took one since, that fetch is a sign of life too.
-- keep:         seconds the row of a job stays whose abort had been asked for; null: for ever
-- Called by  queries/rescue_jobs.sql
-- Writes     procrastinate_jobs, procrastinate_workers
-- Locks      the rows rescued, for update skip locked, then their queueing locks; the rows of workers forgotten, for update
--            skip locked; until commit
-- Index      idx_procrastinate_jobs_worker_not_null, procrastinate_jobs_qt_unowned_idx
--
-- One statement compares and swaps: a row is changed only while it is running under that worker. The worker itself
-- writes only under its number and its lease, so that one taken for dead too soon loses work, never correctness.
create or replace function queue_tasks_rescue_jobs_v1(
    p_dead_after double precision,
    p_silent_after double precision,
    p_max_crashes integer,
    p_keep double precision,
    p_max_jobs integer
) returns table (id bigint, status text, worker_id bigint, crashes integer)
    language plpgsql
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $body$
#variable_conflict use_column
declare
    v_dead bigint[];
    v_gone bigint[];
    v_queueing_lock text;
    v_back bigint[];
    v_queueing_locks text[];
begin
    select coalesce(array_agg(w.id), '{}') into v_dead
    from procrastinate_workers w
    where w.last_heartbeat < clock_timestamp() - make_interval(secs => p_dead_after)
        or (
            w.qt_locked
            and w.last_heartbeat < clock_timestamp() - make_interval(secs => p_silent_after)
            and (
                w.qt_busy
                or (
                    (
                        w.last_heartbeat < clock_timestamp() - make_interval(secs => 2 * p_silent_after)
                        or exists (select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing')
                    )
                    and not exists (
                        select from procrastinate_jobs j
                        where j.worker_id = w.id and j.status = 'doing'
                            and j.qt_attempted_at > clock_timestamp() - make_interval(secs => p_silent_after)
                            and j.qt_attempted_at <= clock_timestamp()
                    )
                )
            )
            -- Looked up, not tried: its worker could not take a lock that we hold for a moment.
            and not exists (
                select from pg_locks l
                where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
                    and l.database = (select d.oid from pg_database d where d.datname = current_database())
                    and (l.classid::bigint << 32 | l.objid::bigint) = queue_tasks_worker_lock_v1(w.id)
            )
        );
    if v_dead = '{}' and not exists (select from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null) then
        return;
    end if;

    for id, status, worker_id, crashes, v_queueing_lock in
    with stranded as materialized (
        select j.id from procrastinate_jobs j where j.status = 'doing' and j.worker_id = any (v_dead)
        union all
        select j.id from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null
    ),
    taken as materialized (
        select
            j.id,
            j.worker_id,
            j.queueing_lock,
            j.abort_requested,
            case when j.qt_crashes = 0 or j.qt_started_lease = j.qt_lease then least(j.qt_crashes, 2147483646) + 1 else j.qt_crashes end as crashes,
            j.qt_crashes > 0 and j.qt_started_lease = j.qt_lease as ran
        from procrastinate_jobs j
        where j.id = any (array(select s.id from stranded s order by s.id limit p_max_jobs))
            and j.status = 'doing' and (j.worker_id is null or j.worker_id = any (v_dead))
        order by j.id
        for update skip locked
    ),
    verdict as materialized (
        select
            t.id,
            t.worker_id,
            t.queueing_lock,
            t.crashes,
            case
                when t.ran and t.crashes >= p_max_crashes then 'failed'
                when t.abort_requested then 'aborted'
                else 'todo'
            end as outcome
        from taken t
    ),
    rescued as (
        update procrastinate_jobs j
        set status = v.outcome::procrastinate_job_status,
            abort_requested = false,
            worker_id = null,
            scheduled_at = null,
            queueing_lock = case when v.outcome <> 'todo' then v.queueing_lock end,
            qt_crashes = v.crashes,
            qt_started_at = case when j.attempts = 0 and v.outcome = 'todo' then null else j.qt_started_at end,
            qt_finished_at = case when v.outcome <> 'todo' then clock_timestamp() end,
            qt_expires_at = case when v.outcome = 'aborted' then clock_timestamp() + make_interval(secs => p_keep) end,
            qt_errors = case
                when v.outcome = 'failed' then case
                    when jsonb_typeof(j.qt_errors) = 'array' then j.qt_errors else '[]'::jsonb
                end || jsonb_build_object(
                    'exception', 'queue_tasks.exceptions.WorkerCrashed',
                    'message', format('Its worker died %s times while it ran: it is not tried again.', v.crashes),
                    'traceback', format(
                        E'queue_tasks.exceptions.WorkerCrashed: Its worker died %s times while it ran: it is not tried again.\n',
                        v.crashes
                    ),
                    'place', j.task_name,
                    -- As frames.fingerprint has it.
                    'fingerprint', left(
                        encode(
                            sha256(convert_to(E'queue_tasks.exceptions.WorkerCrashed\n' || j.task_name, 'UTF8')), 'hex'
                        ),
                        12
                    ),
                    'attempt', j.attempts::bigint + 1,
                    'worker_id', v.worker_id,
                    'started_at', j.qt_attempted_at,
                    'finished_at', clock_timestamp()
                )
                else j.qt_errors
            end
        from verdict v
        where j.id = v.id
        returning j.id, j.status::text, v.worker_id, v.crashes, case when v.outcome = 'todo' then v.queueing_lock end as queueing_lock
    )
    select r.id, r.status, r.worker_id, r.crashes, r.queueing_lock from rescued r
    loop
        return next;
        if v_queueing_lock is not null then
            v_back := v_back || id;
            v_queueing_locks := v_queueing_locks || v_queueing_lock;
        end if;
    end loop;
    perform queue_tasks_take_queueing_locks_v1(v_back, v_queueing_locks);

    -- First held, without waiting: from then on it is given no jobs. Then looked at, so that nobody's jobs have to be
    -- waited for when it is deleted, while those rescued are held.
    select array_agg(h.id) into v_gone
    from (
        select w.id
        from procrastinate_workers w
        where w.id = any (v_dead)
            -- It may have beaten meanwhile; then its jobs are gone, and it goes on with others.
            and w.last_heartbeat < clock_timestamp() - make_interval(secs => least(p_dead_after, p_silent_after))
        order by w.id
        for update skip locked
    ) h;
    delete from procrastinate_workers w
    where w.id = any (v_gone)
        and not exists (select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing');
end
$body$;

comment on function queue_tasks_rescue_jobs_v1(double precision, double precision, integer, double precision, integer) is 'Take back the running jobs of dead workers.';
