-- schema_constraints() -> table text, name text; the foreign keys of procrastinate's tables
-- Called by  schema.status
select c.relname::text, k.conname::text
from pg_constraint k
join pg_class c on c.oid = k.conrelid
where k.contype = 'f'
    and c.relnamespace = (select j.relnamespace from pg_class j where j.oid = to_regclass('procrastinate_jobs'))
    and starts_with(c.relname, 'procrastinate_')
order by c.relname, k.conname
