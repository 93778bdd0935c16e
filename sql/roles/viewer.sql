-- viewer: the role of a process that shows the dashboard, the metrics page and the admin, and changes nothing
-- Makes the role, which cannot log in, or brings it to what this release needs. Grant it to a login.
-- It reads arguments and results: what of them a visitor sees is decided, and secrets are taken out, in Django.
-- Called by  manage.py queue roles --viewer-role NAME
do $body$
declare
    v_role constant name := 'queue_tasks_viewer';
    v_schema constant name := (
        select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = 'procrastinate_jobs'::regclass
    );
    v_object record;
begin
    if not exists (select from pg_roles r where r.rolname = v_role) then
        execute format('create role %I nologin', v_role);
    end if;
    execute format('grant usage on schema %I to %I', v_schema, v_role);
    -- Which migrations are applied, for `manage.py check --database`.
    if to_regclass('django_migrations') is not null then
        execute format('grant select on django_migrations to %I', v_role);
    end if;
    for v_object in
        select
            format('%s %I.%I', case c.relkind when 'S' then 'sequence' else 'table' end, v_schema, c.relname) as name,
            case when c.relkind <> 'S' then 'select' end as rights
        from pg_class c
        where c.relnamespace = v_schema::regnamespace
            and c.relkind in ('r', 'p', 'S')
            and (starts_with(c.relname, 'queue_tasks_') or starts_with(c.relname, 'procrastinate_'))
        union all
        -- Those that cannot write.
        select format('function %s', p.oid::regprocedure), case when p.provolatile <> 'v' then 'execute' end
        from pg_proc p
        where p.pronamespace = v_schema::regnamespace and starts_with(p.proname, 'queue_tasks_')
    loop
        execute format('revoke all on %s from %I', v_object.name, v_role);
        if v_object.rights is not null then
            execute format('grant %s on %s to %I', v_object.rights, v_object.name, v_role);
        end if;
    end loop;
end
$body$;
