-- commit_transaction() -> no rows
-- End a transaction of begin_transaction.
-- Called by  connections.WorkerConnection
commit
