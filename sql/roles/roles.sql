-- roles: what a login may do that only works, only enqueues, or only looks; whoever made the tables keeps the rest
-- Makes three roles, which cannot log in, or brings them to what this release needs: each loses all it has, and is given
-- what stands here. Grant each to its logins. Everybody else loses what Postgres gives to all: to run functions.
--
-- worker    all of a worker, and none of the tables that its tasks use.
-- producer  whoever only enqueues, by Django or by queue_tasks_enqueue_v1, and reads no job, not even its own: it says what
--           a new job is, not what became of it, and reads ids and the time of enqueueing, which an insert returns. The history
--           and the wake-up are written by triggers in its name; an event of its own making is refused, but for one that a trigger
--           of its own writes: that takes a table that it may make, or owns.
-- viewer    a process that shows the dashboard, the metrics page and the admin, and changes nothing. It reads arguments and
--           results: what of them a visitor sees is decided, and secrets are taken out, in Django.
-- Called by  manage.py queue roles --worker-role NAME --producer-role NAME --viewer-role NAME
do $body$
declare
    v_worker constant name := 'queue_tasks_worker';
    v_producer constant name := 'queue_tasks_producer';
    v_viewer constant name := 'queue_tasks_viewer';
    v_schema constant name := (
        select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = 'procrastinate_jobs'::regclass
    );
    v_role name;
    v_object record;
    v_given record;
begin
    foreach v_role in array array[v_worker, v_producer, v_viewer] loop
        if not exists (select from pg_roles r where r.rolname = v_role) then
            execute format('create role %I nologin', v_role);
        end if;
        execute format('grant usage on schema %I to %I', v_schema, v_role);
        -- Which migrations are applied, for `manage.py check --database`.
        if to_regclass('django_migrations') is not null then
            execute format('grant select on django_migrations to %I', v_role);
        end if;
    end loop;

    for v_object in
        select
            format('%s %I.%I', case c.relkind when 'S' then 'sequence' else 'table' end, v_schema, c.relname) as name,
            case
                -- Who did what on the dashboard is not a worker's to read, nor to write.
                when starts_with(c.relname, 'queue_tasks_changes') then null
                when c.relkind = 'S' then 'usage'
                else 'select, insert, update, delete'
            end as worker,
            case
                when c.relname in ('procrastinate_jobs_id_seq', 'procrastinate_events_id_seq') then 'usage'
                when c.relname = 'queue_tasks_listeners' then 'select'
                when c.relname = 'procrastinate_events' then 'insert (job_id, type, at)'
                when c.relname = 'procrastinate_jobs' then
                    'insert (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at, qt_ephemeral, qt_meta), '
                    'select (id, qt_enqueued_at)'
            end as producer,
            case when c.relkind <> 'S' then 'select' end as viewer
        from pg_class c
        where c.relnamespace = v_schema::regnamespace
            and c.relkind in ('r', 'p', 'S')
            and (starts_with(c.relname, 'queue_tasks_') or starts_with(c.relname, 'procrastinate_'))
        union all
        -- procrastinate's functions are left to all: they do nothing for who has no right to its tables.
        select
            format('function %s', p.oid::regprocedure),
            -- Triggers fire for everybody.
            case when p.prorettype <> 'trigger'::regtype then 'execute' end,
            case
                when p.proname in (
                    'queue_tasks_enqueue_job_v1', 'queue_tasks_enqueue_v1', 'queue_tasks_is_due_before_v1', 'queue_tasks_is_followed_v1',
                    'queue_tasks_is_not_fetching_v1', 'queue_tasks_parked_until_v1', 'queue_tasks_tell_scheduled_v1', 'queue_tasks_wake_queue_v1',
                    'queue_tasks_wake_queues_v1'
                ) then 'execute'
            end,
            -- Those that cannot write.
            case when p.provolatile <> 'v' or p.proname = 'queue_tasks_follow_v1' then 'execute' end
        from pg_proc p
        where p.pronamespace = v_schema::regnamespace and starts_with(p.proname, 'queue_tasks_')
    loop
        execute format('revoke all on %s from public, %I, %I, %I', v_object.name, v_worker, v_producer, v_viewer);
        for v_given in
            select g.role, g.rights
            from (values (v_worker, v_object.worker), (v_producer, v_object.producer), (v_viewer, v_object.viewer)) g (role, rights)
            where g.rights is not null
        loop
            execute format('grant %s on %s to %I', v_given.rights, v_object.name, v_given.role);
        end loop;
    end loop;
end
$body$;
