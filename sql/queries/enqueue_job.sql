-- enqueue_job(...) -> job bigint[]; one row: the job's id, and the time of the statement as microseconds since 1970
-- Insert one job, in the caller's transaction. No argument is cast: the function has one signature, and each cast is parsed anew.
-- run_after: null or a time past means ready at once.
-- trace: null, or the span that enqueues as {"trace": {"traceparent": ..., "tracestate": ...}}.
-- Called by  enqueue.enqueue_job
-- Writes     procrastinate_jobs; events and wake-ups by trigger
select
    queue_tasks_enqueue_job_v1(
        %(queue_name)s, %(task_name)s, %(priority)s, %(lock)s, %(args)s, %(run_after)s, %(ephemeral)s, %(trace)s
    ) as job
