-- list_writers(known text[]) -> rows: writer text; known: only those of them (null: all)
-- The transactions that have written to procrastinate_jobs, or are about to, and have not ended; prepared ones too.
-- Called by  store.WorkerStore.list_writers, following.Looks
select distinct l.virtualtransaction as writer
from pg_locks l
where l.locktype = 'relation'
    and l.relation = 'procrastinate_jobs'::regclass
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
    and l.mode = 'RowExclusiveLock'
    and (%(known)s::text[] is null or l.virtualtransaction = any (%(known)s::text[]))
