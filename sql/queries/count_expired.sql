-- count_expired() -> one row: jobs bigint
-- How many finished jobs prune would delete now.
-- Called by  control.count_expired
-- Index      procrastinate_jobs_qt_expires_idx
select count(*)
from procrastinate_jobs j
where j.qt_expires_at <= statement_timestamp()
    and j.status = any (array['succeeded', 'cancelled', 'aborted']::procrastinate_job_status[])
