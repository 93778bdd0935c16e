-- queue_tasks_ready_queues_v1(queues text[], most integer) -> text[]; null: there is none
-- The queues that have ready jobs without a lock, in the order of their first jobs: the first n jobs of all are in the first
-- n of them. An index probe for each queue.
-- queues: names, of which one may come twice; null means every queue. most: of every queue, so many at the most; null: all.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_ready_idx
create or replace function queue_tasks_ready_queues_v1(p_queues text[], p_most integer) returns text[]
    language plpgsql
as $body$
declare
    v_first text;
    v_first_priority integer;
    v_first_id bigint;
    v_second text;
    v_second_priority integer;
    v_second_id bigint;
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

    -- Mostly there is one or none, and to be told so costs half of what it takes to list them.
    select f.queue_name, f.priority, f.id, s.queue_name, s.priority, s.id
    into v_first, v_first_priority, v_first_id, v_second, v_second_priority, v_second_id
    from (
        select j.queue_name, j.priority, j.id from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at is null and j.lock is null
        order by j.queue_name, j.priority desc, j.id limit 1
    ) f
    left join lateral (
        select j.queue_name, j.priority, j.id from procrastinate_jobs j
        where j.queue_name > f.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
        order by j.queue_name, j.priority desc, j.id limit 1
    ) s on true;
    if v_second is null then
        return case when v_first is not null then array[v_first] end;
    end if;

    return (
        with recursive ready (queue_name, priority, id) as (
            select v_second, v_second_priority, v_second_id
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
        from (
            select v_first, v_first_priority, v_first_id
            union all
            select r.queue_name, r.priority, r.id from (select r.queue_name, r.priority, r.id from ready r limit p_most - 1) r
        ) q (queue_name, priority, id)
    );
end
$body$;

comment on function queue_tasks_ready_queues_v1(text[], integer) is 'The queues that have ready jobs without a lock, in the order of their first jobs.';
