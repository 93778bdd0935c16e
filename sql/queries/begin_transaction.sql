-- begin_transaction() -> no rows
-- Begin one in which each statement sees what is committed by then, whatever the session's defaults: through a pooler they are
-- somebody else's.
-- Called by  connections.WorkerConnection
begin isolation level read committed read write
