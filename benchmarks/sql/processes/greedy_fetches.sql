-- greedy_fetches(slots integer, workers integer, idle double precision) -> one row: fetches
-- Fetches after which a worker had more jobs in hand than slots, while another had none, `idle` seconds before and after.
-- A job is in hand from its fetch (qt_attempted_at, the same for all of one fetch) to its end. A worker that never had a
-- job counts as idle all the time.
-- Called by  benchmarks.measures.processes
with held as materialized (
    select j.worker_id, j.qt_attempted_at as fetched, j.qt_finished_at as ended
    from procrastinate_jobs j
    where j.status = 'succeeded'
),
taking as materialized (
    select distinct h.worker_id, h.fetched from held h
),
greedy as materialized (
    select f.worker_id, f.fetched
    from taking f
    where (
        select count(*) from held h
        where h.worker_id = f.worker_id and h.fetched <= f.fetched and h.ended > f.fetched
    ) > %(slots)s::integer
),
busy as (
    select g.worker_id, g.fetched, count(distinct h.worker_id) as workers
    from greedy g
    left join held h
        on h.fetched < g.fetched + make_interval(secs => %(idle)s)
        and h.ended > g.fetched - make_interval(secs => %(idle)s)
    group by g.worker_id, g.fetched
)
select count(*) from busy b where b.workers < %(workers)s::integer
