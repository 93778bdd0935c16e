-- enqueue_job(...) -> id bigint, enqueued_at bigint; one row
-- Insert one job, in the caller's transaction. No argument is cast: the function has one signature, and each cast is parsed anew.
-- run_after: null or a time past means ready at once.
-- trace: null, or the span that enqueues as {"trace": {"traceparent": ..., "tracestate": ...}}.
-- enqueued_at: the statement's time, as microseconds since 1970: Django's reading of a time costs a client as much as eight arguments.
-- Called by  enqueue.enqueue_job
-- Writes     procrastinate_jobs; events and wake-ups by trigger
select
    queue_tasks_enqueue_job_v1(
        %(queue_name)s, %(task_name)s, %(priority)s, %(lock)s, %(args)s, %(run_after)s, %(ephemeral)s, %(trace)s
    ) as id,
    (extract(epoch from statement_timestamp()) * 1000000)::bigint as enqueued_at
