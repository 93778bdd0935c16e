-- queue_tasks_take_limited_v1(queues text[], rooms bigint[], heads bigint[], max_jobs integer) -> bigint[]; null: there is none
-- Of each queue with a limit the first ready jobs, as many as it has room for; and of the others the heads as they are given.
-- queues, rooms: those that have room, and how much, held by queue_tasks_hold_limits_v1. heads: jobs with a lock that may
-- start, of any queue.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Locks      the jobs returned of these queues, and some more, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_ready_idx, procrastinate_jobs_pkey
--
-- Held before they are counted: one that somebody else holds must not take the place of one that can be had.
create or replace function queue_tasks_take_limited_v1(p_queues text[], p_rooms bigint[], p_heads bigint[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_place integer;
    v_room bigint;
    v_taken bigint[] := array(select j.id from procrastinate_jobs j where j.id = any (p_heads) and j.queue_name <> all (p_queues));
    v_plain bigint[];
    v_heads bigint[];
begin
    for v_place in 1..cardinality(p_queues) loop
        v_room := least(p_rooms[v_place], p_max_jobs);
        select array_agg(t.id) into v_plain
        from (
            select j.id
            from procrastinate_jobs j
            where j.queue_name >= p_queues[v_place] and j.queue_name <= p_queues[v_place]
                and j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.queue_name, j.priority desc, j.id
            limit v_room
            for update skip locked
        ) t;
        v_heads := array(
            select j.id from procrastinate_jobs j where j.id = any (p_heads) and j.queue_name is not distinct from p_queues[v_place]
        );
        v_taken := v_taken || queue_tasks_take_candidates_v1(v_plain || v_heads, v_room);
    end loop;
    return nullif(v_taken, '{}');
end
$body$;

comment on function queue_tasks_take_limited_v1(text[], bigint[], bigint[], integer) is 'Of each queue with a limit the first ready jobs, as many as it has room for.';
