-- search_end(look, before, few, statuses, ids) -> 0 or 1 row: id bigint; the last job that search_jobs looked at
-- No row: it looked at all there are.
-- Called by  dashboard.queries.search
-- Index      procrastinate_jobs_pkey; procrastinate_jobs_qt_failed_idx
select id
from procrastinate_jobs
where (%(before)s::bigint is null or id < %(before)s::bigint)
    and (not %(few)s::boolean or status = any (array['failed', 'cancelled', 'aborted']::procrastinate_job_status[]))
    and (%(statuses)s::text[] is null or status = any (%(statuses)s::text[]::procrastinate_job_status[]))
    and (%(ids)s::bigint[] is null or id = any (%(ids)s::bigint[]))
order by id desc
offset %(look)s::bigint - 1
limit 1
