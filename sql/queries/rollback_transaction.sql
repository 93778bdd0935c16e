-- rollback_transaction() -> no rows
-- End a transaction of begin_transaction in which a statement failed.
-- Called by  connections.WorkerConnection
rollback
