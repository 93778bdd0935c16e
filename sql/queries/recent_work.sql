-- recent_work(look) -> up to 60 rows: minutes_ago integer, succeeded bigint, failed bigint; the minutes that had any
-- What was finished in each minute of the last hour, among the newest `look` jobs.
-- Called by  dashboard.queries.recent_work
-- Index      procrastinate_jobs_pkey
select
    floor(extract(epoch from statement_timestamp() - j.qt_finished_at) / 60)::integer as minutes_ago,
    count(*) filter (where j.status = 'succeeded') as succeeded,
    count(*) filter (where j.status = any (array['failed', 'aborted']::procrastinate_job_status[])) as failed
from (
    select status, qt_finished_at from procrastinate_jobs order by id desc limit %(look)s::bigint
) j
where j.qt_finished_at > statement_timestamp() - make_interval(hours => 1) and j.qt_finished_at <= statement_timestamp()
group by 1
order by 1
