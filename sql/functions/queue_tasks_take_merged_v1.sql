-- queue_tasks_take_merged_v1(queues text[], jobs bigint[], max_jobs integer) -> bigint[]; null: none can be had
-- The first ready jobs of several lines, merged by priority: those without a lock of some queues, and some more.
-- queues: in the order of their first jobs. jobs: those that may start beside them, such as the heads of locks.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Locks      the jobs returned, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_ready_idx, procrastinate_jobs_pkey
--
-- Only rows that are taken may be locked, so the candidates are read first; when other fetches hold some of those, it looks
-- further down the lines instead of going to sleep beside ready jobs.
create or replace function queue_tasks_take_merged_v1(p_queues text[], p_jobs bigint[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_window integer := p_max_jobs;
    v_candidates bigint[];
    v_seen integer;
    v_ids bigint[];
begin
    loop
        select array_agg(f.id), count(*) into v_candidates, v_seen
        from (
            select c.id
            from (
                select line.id, line.priority
                from unnest(p_queues[:v_window]) q (name)
                cross join lateral (
                    select j.id, j.priority
                    from procrastinate_jobs j
                    where j.queue_name >= q.name and j.queue_name <= q.name
                        and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                    order by j.queue_name, j.priority desc, j.id
                    limit v_window
                ) line
                union all
                select j.id, j.priority from procrastinate_jobs j where j.id = any (p_jobs)
            ) c
            order by c.priority desc, c.id
            limit v_window
        ) f;
        v_ids := queue_tasks_take_candidates_v1(v_candidates, p_max_jobs);
        -- Others may have emptied those lines since they were put in order: then there may be more in the rest.
        exit when cardinality(v_ids) = p_max_jobs or v_window > 50000
            or (v_seen < v_window and coalesce(cardinality(p_queues), 0) <= v_window);
        v_window := v_window * 4;
    end loop;
    return v_ids;
end
$body$;

comment on function queue_tasks_take_merged_v1(text[], bigint[], integer) is 'The first ready jobs of several lines, merged by priority.';
