-- count_states() -> one row for each state that jobs are in: state text, jobs bigint
-- Called by  overview.measure
select
    case
        when j.status = any (array['doing', 'aborting']::procrastinate_job_status[]) then 'running'
        when j.status <> 'todo' then j.status::text
        when j.scheduled_at is null then 'ready'
        when j.scheduled_at >= queue_tasks_parked_until_v1() then 'parked'
        when j.attempts > 0 then 'retrying'
        else 'scheduled'
    end as state,
    count(*)
from procrastinate_jobs j
group by 1
