-- lock_jobs(ids, queues) -> rows: id bigint, state text, lease bigint; the jobs that exist, by id
-- The state of jobs that are about to be changed; nobody else changes them until the transaction ends.
-- queues:    only jobs of these; null: of all
-- Called by  dashboard.changes.to_jobs
-- Locks      the rows, by id, until commit
-- Index      procrastinate_jobs_pkey
select
    id,
    case
        when status = any (array['doing', 'aborting']::procrastinate_job_status[]) then 'running'
        when status <> 'todo' then status::text
        when scheduled_at is null then 'ready'
        when scheduled_at >= queue_tasks_parked_until_v1() then 'parked'
        when attempts > 0 then 'retrying'
        else 'scheduled'
    end as state,
    qt_lease as lease
from procrastinate_jobs
where id = any (%(ids)s::bigint[])
    and (%(queues)s::text[] is null or queue_name = any (%(queues)s::text[]))
order by id
for update
