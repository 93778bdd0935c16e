-- schema_indexes() -> name text, definition text, namespace text, valid boolean; the indexes of procrastinate's tables and ours
-- Called by  schema.status
select
    i.relname::text,
    pg_get_indexdef(i.oid) as definition,
    quote_ident(n.nspname) || '.' as namespace,
    x.indisvalid as valid
from pg_index x
join pg_class i on i.oid = x.indexrelid
join pg_class c on c.oid = x.indrelid
join pg_namespace n on n.oid = c.relnamespace
where c.relnamespace = (select j.relnamespace from pg_class j where j.oid = to_regclass('procrastinate_jobs'))
    and (starts_with(c.relname, 'procrastinate_') or (starts_with(c.relname, 'queue_tasks_') and not x.indisprimary))
order by i.relname
