-- measure_jobs(max_jobs) -> one row, as the figures of overview.Figures
-- Jobs finished in the last minute and hour; of the newest max_jobs that started, the seconds from when each could
-- start (enqueued, or due) to when it did. Ephemeral jobs leave nothing to count.
-- Called by  overview.measure
with finished as (
    select
        count(*) filter (where j.qt_finished_at > statement_timestamp() - make_interval(mins => 1)) as last_minute,
        count(*) as last_hour
    from procrastinate_jobs j
    where j.qt_finished_at > statement_timestamp() - make_interval(hours => 1)
        and j.status <> 'cancelled'
),
latency as (
    select
        count(*) as sampled,
        percentile_cont(array[0.5, 0.95, 0.99]) within group (order by s.waited) as percentiles
    from (
        select
            extract(
                epoch from j.qt_started_at - greatest(
                    j.qt_enqueued_at, queue_tasks_run_after_v1(j.qt_meta)
                )
            )::double precision as waited
        from procrastinate_jobs j
        where j.qt_started_at is not null and j.qt_enqueued_at is not null
        order by j.id desc
        limit %(max_jobs)s::bigint
    ) s
)
select
    f.last_minute,
    f.last_hour,
    l.sampled,
    l.percentiles[1],
    l.percentiles[2],
    l.percentiles[3],
    pg_table_size('procrastinate_jobs'),
    pg_indexes_size('procrastinate_jobs'),
    pg_total_relation_size('procrastinate_events')
from finished f, latency l
