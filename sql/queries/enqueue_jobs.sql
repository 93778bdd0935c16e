-- enqueue_jobs(...) -> id bigint, enqueued_at timestamptz; one row for each job, in the order given
-- Insert many jobs at once, in the caller's transaction. All arguments are arrays of one length.
-- run_afters: null or a time past means ready at once.
-- trace: null, or the span that enqueues them all as {"trace": {"traceparent": ..., "tracestate": ...}}.
-- Called by  enqueue.enqueue_jobs
-- Writes     procrastinate_jobs; events and wake-ups by trigger, once a statement
insert into procrastinate_jobs (queue_name, task_name, priority, lock, args, scheduled_at, qt_ephemeral, qt_meta)
select
    j.queue_name,
    j.task_name,
    j.priority,
    j.lock,
    j.args::jsonb,
    case when j.run_after > statement_timestamp() then j.run_after end,
    j.ephemeral,
    case
        when j.run_after is null then %(trace)s::jsonb
        else coalesce(%(trace)s::jsonb, '{}') || jsonb_build_object('run_after', j.run_after)
    end
from unnest(
    %(queue_names)s::text[],
    %(task_names)s::text[],
    %(priorities)s::integer[],
    %(locks)s::text[],
    %(args)s::text[],
    %(run_afters)s::timestamptz[],
    %(ephemerals)s::boolean[]
) with ordinality as j (queue_name, task_name, priority, lock, args, run_after, ephemeral, position)
order by j.position
returning id, qt_enqueued_at
