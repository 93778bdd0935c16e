-- notify_usage() -> one row: used double precision
-- The used part, 0 to 1, of the server's queue of notifications. To ask also clears what every listener has read, which
-- the server does not do by itself any more once the queue is full.
-- Called by  worker.listener.Listener (also to ask whether a silent connection lives), connections.WorkerConnection, store.MaintenanceStore.notify_usage
select pg_notification_queue_usage() as used
