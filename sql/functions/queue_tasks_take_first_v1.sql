-- queue_tasks_take_first_v1(queues text[], shut text[], limited text[], max_jobs integer) -> bigint[], max_jobs of them; or null
-- The first ready jobs of many queues, where they stand in one line: in upstream's index. Jobs that wait for a time or a
-- lock stand between them, so it is not looked far. Null: too few of what stands there may start, or can be had, or some
-- belong to a queue with a limit, which must be held to be counted. Then each queue is to be looked into.
-- queues: names; null means every queue. shut, limited: those that are paused, or have a limit.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Locks      the jobs returned, and some more, for update skip locked, until commit
-- Index      procrastinate_jobs_priority_idx_v1, procrastinate_jobs_lock_idx_v1, procrastinate_jobs_qt_locked_idx
create or replace function queue_tasks_take_first_v1(p_queues text[], p_shut text[], p_limited text[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_candidates bigint[];
    v_counted boolean;
    v_ids bigint[];
begin
    select array_agg(c.id), bool_or(c.queue_name = any (p_limited)) into v_candidates, v_counted
    from (
        select w.id, w.queue_name
        from (
            select j.id, j.queue_name, j.lock, j.scheduled_at
            from procrastinate_jobs j
            where j.status = 'todo'
            order by j.priority desc, j.id
            limit 100 + 4 * p_max_jobs
        ) w
        where w.scheduled_at is null and w.queue_name <> all (p_shut) and (p_queues is null or w.queue_name = any (p_queues))
            and (w.lock is null or (
                not exists (select from procrastinate_jobs o where o.lock = w.lock and o.status = 'doing')
                and w.id = (
                    select o.id
                    from procrastinate_jobs o
                    where o.lock >= w.lock and o.lock <= w.lock and o.status = 'todo' and o.scheduled_at is null
                    order by o.lock, o.priority desc, o.id
                    limit 1
                )
            ))
        limit 2 * p_max_jobs
    ) c;
    if v_counted or coalesce(cardinality(v_candidates), 0) < p_max_jobs then
        return null;
    end if;
    v_ids := queue_tasks_take_candidates_v1(v_candidates, p_max_jobs);
    -- Others hold some of those: ours are found again by the long way.
    return case when cardinality(v_ids) = p_max_jobs then v_ids end;
end
$body$;

comment on function queue_tasks_take_first_v1(text[], text[], text[], integer) is 'The first ready jobs of many queues, where they stand in one line.';
