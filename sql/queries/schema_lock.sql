-- schema_lock() -> no rows
-- Keep everybody off procrastinate's tables until the transaction ends; in the order in which most statements of ours come
-- to them, so that none of them stands in the way of this one while it waits for that one.
-- Called by  schema.repair
lock table procrastinate_workers, procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers in access exclusive mode
