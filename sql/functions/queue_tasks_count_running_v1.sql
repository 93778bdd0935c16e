-- queue_tasks_count_running_v1(queues text[]) -> one row for each of them: queue_name text, running bigint
-- How many jobs of these queues run now, whoever runs them. Reads the running jobs of all queues: as many as there are slots.
-- Called by  queue_tasks_hold_limits_v1
-- Index      idx_procrastinate_jobs_worker_not_null, procrastinate_jobs_qt_unowned_idx
create or replace function queue_tasks_count_running_v1(p_queues text[])
    returns table (queue_name text, running bigint)
    language plpgsql
    stable
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $body$
#variable_conflict use_column
begin
    return query
    with running as materialized (
        select j.queue_name from procrastinate_jobs j where j.status = 'doing' and j.worker_id is not null
        union all
        select j.queue_name from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null
    ),
    counted as materialized (
        select r.queue_name, count(*) as running from running r where r.queue_name = any (p_queues) group by r.queue_name
    )
    select q.name, coalesce((select c.running from counted c where c.queue_name = q.name), 0)
    from unnest(p_queues) q (name);
end
$body$;

comment on function queue_tasks_count_running_v1(text[]) is 'How many jobs of some queues run now.';
