-- schema_functions() -> name text, head text, body text, identity text, namespace text; our functions and upstream's
-- head: the definition before its body; identity: the arguments as "drop function" takes them
-- Called by  schema.status
select
    p.proname::text,
    split_part(pg_get_functiondef(p.oid), E'\nAS ', 1) as head,
    p.prosrc as body,
    pg_get_function_identity_arguments(p.oid) as identity,
    quote_ident(n.nspname) || '.' as namespace
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
where p.pronamespace = (select j.relnamespace from pg_class j where j.oid = to_regclass('procrastinate_jobs'))
    and p.prokind = 'f'
    and (starts_with(p.proname, 'queue_tasks_') or starts_with(p.proname, 'procrastinate_'))
order by p.proname, p.oid
