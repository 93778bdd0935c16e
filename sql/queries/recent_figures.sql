-- recent_figures(look) -> one row, as dashboard.queries.Recent
-- Of the newest `look` jobs: how many there are, how many started, and percentiles in seconds of the wait from when a job
-- could start to when it did, and of the time from its latest start to its end.
-- Called by  dashboard.queries.recent_figures
-- Index      procrastinate_jobs_pkey
select
    count(*) as looked,
    count(j.qt_started_at) as started,
    percentile_cont(array[0.5, 0.95, 0.99]) within group (
        order by extract(
            epoch from j.qt_started_at - greatest(j.qt_enqueued_at, queue_tasks_run_after_v1(j.qt_meta))
        )::double precision
    ) as waited,
    percentile_cont(array[0.5, 0.95, 0.99]) within group (
        order by extract(epoch from j.qt_finished_at - j.qt_attempted_at)::double precision
    ) as ran
from (
    select qt_started_at, qt_enqueued_at, qt_meta, qt_finished_at, qt_attempted_at
    from procrastinate_jobs
    order by id desc
    limit %(look)s::bigint
) j
