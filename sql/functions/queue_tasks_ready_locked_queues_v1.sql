-- queue_tasks_ready_locked_queues_v1(queues text[], first text) -> text[], in any order; null: there is none
-- The queues that have ready jobs with a lock, whether it is held or not. An index probe for each queue.
-- queues: names; null means every queue. first: of every queue, the first by name that has some; it comes back in any case.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_ready_locked_idx
create or replace function queue_tasks_ready_locked_queues_v1(p_queues text[], p_first text) returns text[]
    language plpgsql
as $body$
declare
    v_second text;
begin
    if p_queues is not null then
        return (
            select array_agg(distinct q.name)
            from unnest(p_queues) q (name)
            where (
                select j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null
        );
    end if;

    -- Mostly there is one, and to be told so costs a third of what it takes to list them.
    v_second := (
        select j.queue_name from procrastinate_jobs j
        where j.queue_name > p_first and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
        order by j.queue_name, j.priority desc, j.id limit 1
    );
    if v_second is null then
        return array[p_first];
    end if;
    return (
        with recursive ready (queue_name) as (
            select v_second
            union all
            select (
                select j.queue_name::text from procrastinate_jobs j
                where j.queue_name > r.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            )
            from ready r
            where r.queue_name is not null
        )
        select array_agg(r.queue_name) || p_first from ready r where r.queue_name is not null
    );
end
$body$;

comment on function queue_tasks_ready_locked_queues_v1(text[], text) is 'The queues that have ready jobs with a lock.';
