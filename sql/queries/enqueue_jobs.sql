-- enqueue_jobs(...) -> ids bigint[], enqueued_at bigint; one row, the ids in the order of the jobs given,
-- and the time of the statement as microseconds since 1970
-- Insert many jobs of several tasks, in the caller's transaction.
-- queue_names, task_names, priorities, run_afters, ephemerals: of each task, arrays of one length; run_after null or a time
-- past means ready at once. tasks: which of them each job is of, from 1, as lines of one text. args, locks: as in enqueue_alike.
-- trace: null, or the span that enqueues them all as {"trace": {"traceparent": ..., "tracestate": ...}}.
-- Called by  enqueue.enqueue_jobs
-- Writes     procrastinate_jobs; events and wake-ups by trigger, once a statement
with inserted as (
    insert into procrastinate_jobs (queue_name, task_name, priority, lock, args, scheduled_at, qt_ephemeral, qt_meta)
    select
        t.queue_name,
        t.task_name,
        t.priority,
        j.lock,
        j.args::jsonb,
        case when t.run_after > statement_timestamp() then t.run_after end,
        t.ephemeral,
        case
            when t.run_after is null then %(trace)s::jsonb
            else coalesce(%(trace)s::jsonb, '{}') || jsonb_build_object('run_after', t.run_after)
        end
    from rows from (
        string_to_table(%(args)s::text, chr(10)), string_to_table(%(tasks)s::text, chr(10)), unnest(%(locks)s::text[])
    ) with ordinality as j (args, task, lock, position)
    join unnest(
        %(queue_names)s::text[],
        %(task_names)s::text[],
        %(priorities)s::integer[],
        %(run_afters)s::timestamptz[],
        %(ephemerals)s::boolean[]
    ) with ordinality as t (queue_name, task_name, priority, run_after, ephemeral, number) on t.number = j.task::bigint
    order by j.position
    returning id
)
select array_agg(i.id) as ids, (extract(epoch from statement_timestamp()) * 1000000)::bigint as enqueued_at
from inserted i
