-- enqueue_job(...) -> id bigint, enqueued_at timestamptz; one row
-- Insert one job, in the caller's transaction: plain values, since most of what a set costs is its plan.
-- run_after: null or a time past means ready at once.
-- trace: null, or the span that enqueues as {"trace": {"traceparent": ..., "tracestate": ...}}.
-- Called by  enqueue.enqueue_jobs
-- Writes     procrastinate_jobs; events and wake-ups by trigger
insert into procrastinate_jobs (queue_name, task_name, priority, lock, args, scheduled_at, qt_ephemeral, qt_meta)
values (
    %(queue_name)s::text,
    %(task_name)s::text,
    %(priority)s::integer,
    %(lock)s::text,
    %(args)s::jsonb,
    case when %(run_after)s::timestamptz > statement_timestamp() then %(run_after)s::timestamptz end,
    %(ephemeral)s::boolean,
    case
        when %(run_after)s::timestamptz is null then %(trace)s::jsonb
        else coalesce(%(trace)s::jsonb, '{}') || jsonb_build_object('run_after', %(run_after)s::timestamptz)
    end
)
returning id, qt_enqueued_at
