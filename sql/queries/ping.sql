-- ping() -> one row: alive integer
-- Ask whether a connection that has been silent still lives.
-- Called by  worker.listener.Listener
select 1 as alive
