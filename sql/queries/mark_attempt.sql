-- mark_attempt(mark) -> one row
-- Mark the transaction of an atomic attempt: the mark is gone once the body has ended that transaction by itself. And let
-- the server notice within half a minute when the worker's machine is gone: the locks of the body are others' to wait for.
-- Called by  worker.atomic.perform
select
    set_config('queue_tasks.attempt', %(mark)s::text, true),
    set_config('tcp_keepalives_idle', '10', true),
    set_config('tcp_keepalives_interval', '5', true),
    set_config('tcp_keepalives_count', '3', true)
