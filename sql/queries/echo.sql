-- echo(word) -> one row
-- Say a word that only a listener hears which LISTEN works for.
-- Called by  worker.listener.Listener
select pg_notify('queue_tasks_echo', %(word)s::text)
