-- tell_others(worker_id, queues) -> rows: channel text, said void
-- Tell every worker that sleeps and serves some of these queues (null: all) to look, because this one cannot take what it
-- was told of, or not all of it.
-- Called by  store.WorkerStore.tell_others
select t.channel, pg_notify(t.channel, '{"type": "job_inserted", "job_id": 0}') as said
from (
    select distinct channel.name as channel
    from queue_tasks_listeners l
    left join lateral unnest(l.queues) q (name) on true
    cross join lateral (
        select 'procrastinate_queue_v1#' || q.name as name where octet_length(q.name) <= 40
        union all
        -- Workers of all queues listen there, and those with a queue whose name is too long for a channel.
        select 'procrastinate_any_queue_v1'
    ) channel
    where l.asleep
        and l.worker_id <> %(worker_id)s::bigint
        and (q.name is null or %(queues)s::text[] is null or q.name = any (%(queues)s::text[]))
) t
