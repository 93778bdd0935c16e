-- queue_tasks_ready_queues_v1(queues text[], most integer, first text, priority integer, id bigint) -> text[]; null: there is none
-- The queues that have ready jobs without a lock, in the order of their first jobs: the first n jobs of all are in the first
-- n of them. An index probe for each queue.
-- queues: names, of which one may come twice; null means every queue. most: of every queue, so many at the most; null: all.
-- first, priority, id: of every queue, the first by name, and its first job.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_ready_idx
create or replace function queue_tasks_ready_queues_v1(
    p_queues text[],
    p_most integer,
    p_first text,
    p_priority integer,
    p_id bigint
) returns text[]
    language plpgsql
as $body$
begin
    if p_queues is not null then
        return (
            select array_agg(q.name order by f.priority desc, f.id)
            from (select distinct u.name from unnest(p_queues) u (name)) q
            cross join lateral (
                select j.priority, j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) f
        );
    end if;

    return (
        with recursive ready (queue_name, priority, id) as (
            select p_first, p_priority, p_id
            union all
            select n.queue_name, n.priority, n.id
            from ready r
            cross join lateral (
                select j.queue_name::text, j.priority, j.id from procrastinate_jobs j
                where j.queue_name > r.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) n
        )
        select array_agg(q.queue_name order by q.priority desc, q.id)
        from (select r.queue_name, r.priority, r.id from ready r limit p_most) q
    );
end
$body$;

comment on function queue_tasks_ready_queues_v1(text[], integer, text, integer, bigint) is 'The queues that have ready jobs without a lock, in the order of their first jobs.';
