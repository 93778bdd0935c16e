-- queue_tasks_free_heads_v1(queues text[], max_jobs integer) -> bigint[], in any order; null: there is none
-- Of jobs with a lock those that may start: each is the head of its lock's line, whatever that line's queues, while nobody
-- holds the lock. Of each queue the first max_jobs at least, if there are so many. Nothing is locked: it may have changed.
-- queues: names of those that have such jobs, each once
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_ready_locked_idx, procrastinate_jobs_qt_locked_idx, procrastinate_jobs_lock_idx_v1
--
-- Looked for among the first of each queue; if all of those wait behind a few busy locks, at the head of each lock; and only
-- if the locks are many too, among all.
create or replace function queue_tasks_free_heads_v1(p_queues text[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_window integer;
    v_heads bigint[];
    v_seen integer;
begin
    -- Where jobs wait behind busy locks, mostly all of them do.
    if not queue_tasks_some_lock_free_v1() then
        return null;
    end if;
    foreach v_window in array array[greatest(100, 2 * p_max_jobs), null] loop
        with busy as materialized (
            select j.lock from procrastinate_jobs j where j.status = 'doing' and j.lock is not null
        )
        select array_agg(c.id) into v_heads
        from unnest(p_queues) q (name)
        cross join lateral (
            select w.id
            from (
                select j.id, j.lock, j.priority, j.queue_name
                from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id
                limit v_window
            ) w
            where w.lock not in (select b.lock from busy b)
                and w.id = (
                    select o.id
                    from procrastinate_jobs o
                    where o.lock >= w.lock and o.lock <= w.lock and o.status = 'todo' and o.scheduled_at is null
                    order by o.lock, o.priority desc, o.id
                    limit 1
                )
            order by w.queue_name, w.priority desc, w.id
            limit p_max_jobs
        ) c;
        exit when v_heads is not null or v_window is null;

        -- What comes first behind a lock, in the index's order, is the head of the next lock.
        with recursive head (lock, id, queue_name) as (
            (
                select j.lock, j.id, j.queue_name
                from procrastinate_jobs j
                where j.lock is not null and j.status = 'todo' and j.scheduled_at is null
                order by j.lock, j.priority desc, j.id
                limit 1
            )
            union all
            select n.lock, n.id, n.queue_name
            from head h
            cross join lateral (
                select j.lock, j.id, j.queue_name
                from procrastinate_jobs j
                where j.lock > h.lock and j.status = 'todo' and j.scheduled_at is null
                order by j.lock, j.priority desc, j.id
                limit 1
            ) n
        ),
        busy as materialized (
            select j.lock from procrastinate_jobs j where j.status = 'doing' and j.lock is not null
        )
        select
            array_agg(v.id) filter (where v.queue_name = any (p_queues) and v.lock not in (select b.lock from busy b)),
            count(*)
        into v_heads, v_seen
        from (select h.lock, h.id, h.queue_name from head h limit 1000) v;
        exit when v_heads is not null or v_seen < 1000;
    end loop;
    return v_heads;
end
$body$;

comment on function queue_tasks_free_heads_v1(text[], integer) is 'Of jobs with a lock those that may start.';
