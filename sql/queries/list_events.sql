-- list_events(job_id, max_events) -> 0..max_events rows: type text, at timestamp with time zone; oldest first
-- What happened to a job, as procrastinate's history has it; of a long history the newest part.
-- Called by  dashboard.queries.events
-- Index      procrastinate_events_job_id_fkey_v1
select e.type::text as type, e.at
from (
    select id, type, at from procrastinate_events where job_id = %(job_id)s::bigint order by id desc limit %(max_events)s::bigint
) e
order by e.id
