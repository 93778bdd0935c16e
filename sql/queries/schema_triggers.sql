-- schema_triggers() -> table text, name text, definition text, namespace text, enabled boolean
-- The triggers on procrastinate's tables and ours, but for those of foreign keys.
-- Called by  schema.status
select
    c.relname::text,
    t.tgname::text,
    pg_get_triggerdef(t.oid) as definition,
    quote_ident(n.nspname) || '.' as namespace,
    t.tgenabled = any (array['O', 'A']::"char"[]) as enabled
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal
    and c.relnamespace = (select j.relnamespace from pg_class j where j.oid = to_regclass('procrastinate_jobs'))
    and (starts_with(c.relname, 'procrastinate_') or starts_with(c.relname, 'queue_tasks_'))
order by c.relname, t.tgname
