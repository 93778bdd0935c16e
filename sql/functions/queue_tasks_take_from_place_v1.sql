-- queue_tasks_take_from_place_v1(queues text[], closed text[], max_jobs integer) -> bigint[], max_jobs of them; or null
-- The first ready jobs from the place on that a costly look has found, newer ones of a higher priority first. Null: no place
-- is remembered, or not one for these queues, or it is time to look from the beginning, as it is at the place's end.
-- queues: names; null means every queue. closed: those that are paused or have a limit.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Locks      the jobs returned, and some more, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_ready_idx
create or replace function queue_tasks_take_from_place_v1(p_queues text[], p_closed text[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_place jsonb := current_setting('queue_tasks.place', true);
    v_queue text := v_place ->> 'queue';
    v_priority integer := v_place ->> 'priority';
    v_first bigint := v_place ->> 'id';
    v_newest bigint := v_place ->> 'newest';
    v_higher bigint[];
    v_seen integer;
    v_ids bigint[];
begin
    if not (v_place ->> 'until')::timestamp with time zone > clock_timestamp()
        or p_queues <> array[v_queue]
        or v_queue = any (p_closed)
    then
        return null;
    end if;
    select array_agg(t.id) into v_higher
    from (
        select j.id
        from procrastinate_jobs j
        where j.queue_name >= v_queue and j.queue_name <= v_queue and j.priority > v_priority and j.id > v_newest
            and j.status = 'todo' and j.scheduled_at is null and j.lock is null
        order by j.queue_name, j.priority desc, j.id
        limit p_max_jobs
        for update skip locked
    ) t;
    v_seen := coalesce(cardinality(v_higher), 0);
    select array_agg(t.id) into v_ids
    from (
        select j.id
        from procrastinate_jobs j
        where j.queue_name >= v_queue and j.queue_name <= v_queue and j.priority = v_priority and j.id >= v_first
            and j.status = 'todo' and j.scheduled_at is null and j.lock is null
        order by j.queue_name, j.priority desc, j.id
        limit p_max_jobs - v_seen
        for update skip locked
    ) t;
    if v_seen + coalesce(cardinality(v_ids), 0) < p_max_jobs then
        return null;
    end if;
    v_first := coalesce(v_ids[cardinality(v_ids)], v_first);
    perform set_config('queue_tasks.place', jsonb_set(v_place, '{id}', to_jsonb(v_first))::text, false);
    return v_higher || v_ids;
end
$body$;

comment on function queue_tasks_take_from_place_v1(text[], text[], integer) is 'The first ready jobs from the place on that a costly look has found.';
