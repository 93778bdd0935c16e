-- queue_tasks_rescue_jobs_v1(dead_after, silent_after, max_crashes, max_jobs) -> 0..max_jobs rows: id, status, worker_id, crashes
-- Take back the running jobs of dead workers, and forget those workers. A job whose body was known to run has crashed with
-- its worker: the crash is counted apart from attempts, and the max_crashes-th fails it; all others are simply ready again.
-- dead_after:   seconds; a worker silent for longer is dead, lock or not. The only rule for stock workers.
-- silent_after: seconds; a worker of ours silent for longer is dead when nobody holds its advisory lock either.
-- Called by  queries/rescue_jobs.sql
-- Writes     procrastinate_jobs, procrastinate_workers
-- Locks      the rows rescued, for update skip locked, until commit; the dead workers' rows
-- Index      idx_procrastinate_jobs_worker_not_null, procrastinate_jobs_qt_unowned_idx
--
-- A worker writes only under its number and its lease, so whatever it still does after this changes nothing: a worker
-- taken for dead too soon loses work, never correctness.
create or replace function queue_tasks_rescue_jobs_v1(
    p_dead_after double precision,
    p_silent_after double precision,
    p_max_crashes integer,
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
begin
    select array_agg(w.id) into v_dead
    from procrastinate_workers w
    where w.last_heartbeat < clock_timestamp() - make_interval(secs => p_dead_after)
        or (
            w.qt_locked
            and w.last_heartbeat < clock_timestamp() - make_interval(secs => p_silent_after)
            -- Looked up, not tried: a lock that we took for a moment, its worker could not take.
            and not exists (
                select from pg_locks l
                where l.locktype = 'advisory' and l.granted and l.objsubid = 1
                    and l.database = (select d.oid from pg_database d where d.datname = current_database())
                    and ((l.classid::bigint << 32) | l.objid::bigint) = queue_tasks_worker_lock_v1(w.id)
            )
        );
    return query
    with stranded as materialized (
        select j.id, j.qt_lease
        from procrastinate_jobs j
        where j.status = 'doing' and j.worker_id = any (v_dead)
        union all
        -- Running under no worker at all: its row was deleted.
        select j.id, j.qt_lease
        from procrastinate_jobs j
        where j.status = 'doing' and j.worker_id is null
    ),
    taken as materialized (
        select j.id, j.worker_id
        from procrastinate_jobs j
        join (select s.id, s.qt_lease from stranded s order by s.id limit p_max_jobs) s on s.id = j.id
        where j.status = 'doing' and j.qt_lease = s.qt_lease and (j.worker_id is null or j.worker_id = any (v_dead))
        order by j.id
        for update of j skip locked
    )
    select t.id, null::text, t.worker_id, 0 from taken t;
end
$body$;
