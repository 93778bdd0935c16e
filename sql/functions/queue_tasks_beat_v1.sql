-- queue_tasks_beat_v1(worker_id, busy, memory, dead_after, silent_after) -> 0 or 1 row: silence, running, told; no row: the worker is not registered any more
-- A worker's sign of life, and what it finds out of the others with it.
-- busy:         whether it has a job in hand
-- memory:       bytes it holds; null: not known
-- dead_after, silent_after: seconds, as in queue_tasks_rescue_jobs_v1
-- silence:      seconds for which the most silent of the others has given no sign of life that it should have given; 0: there is none
-- running:      whether another worker that holds a lock has a job in hand: its end would have to be noticed soon
-- told:         what an operator has told this worker
-- Called by  queries/heartbeat.sql, queries/look_around.sql
-- Writes     procrastinate_workers
-- Locks      the worker's row, until commit; waits for it for a second at the most, as its listener waits here too
-- Index      idx_procrastinate_jobs_worker_not_null
--
-- Of a worker that said it is busy, the heartbeat counts. One that said it is not gives signs more seldom: when it has
-- taken a job since, the time of its fetch is a sign as well. One without a lock counts when it is dead by its silence alone.
create or replace function queue_tasks_beat_v1(
    p_worker_id bigint,
    p_busy boolean,
    p_memory bigint,
    p_dead_after double precision,
    p_silent_after double precision
) returns table (silence double precision, running boolean, told text)
    language plpgsql
    set lock_timeout = '1s'
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $body$
begin
    update procrastinate_workers w
    set last_heartbeat = clock_timestamp(), qt_busy = p_busy, qt_memory = p_memory
    where w.id = p_worker_id
    returning w.qt_told into told;
    if not found then
        return;
    end if;
    select
        coalesce(
            max(case
                when a.age > p_dead_after or (w.qt_locked and w.qt_busy) then a.age
                when w.qt_locked and f.jobs > 0 then least(a.age, f.age)
                when w.qt_locked and a.age > 2 * p_silent_after then a.age
            end),
            0
        ),
        coalesce(bool_or(w.qt_locked and a.age <= p_dead_after and (w.qt_busy or f.jobs > 0)), false)
    into silence, running
    from procrastinate_workers w
    -- Seconds as numbers: an infinite time, which a stranger may have written, has no difference to another.
    cross join lateral (
        select date_part('epoch', clock_timestamp()) - date_part('epoch', w.last_heartbeat) as age
    ) a
    left join lateral (
        select
            count(*) as jobs,
            date_part('epoch', clock_timestamp()) - date_part('epoch', max(j.qt_attempted_at)) as age
        from procrastinate_jobs j
        where j.worker_id = w.id and j.status = 'doing'
    ) f on w.qt_locked and not w.qt_busy
    where w.id <> p_worker_id;
    return next;
end
$body$;

comment on function queue_tasks_beat_v1(bigint, boolean, bigint, double precision, double precision) is 'A worker''s sign of life, and what it finds out of the others with it.';
