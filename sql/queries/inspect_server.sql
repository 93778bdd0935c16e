-- inspect_server(backend_pid) -> one row, as deploy_checks.Server
-- What of a server, a role and a connection makes jobs slow, unsafe or losable. backend_pid: what the connection believes to
-- speak to; another one answers through a pooler of transactions.
-- Called by  deploy_checks.check_server
select
    current_user::text as role,
    (select r.rolsuper from pg_roles r where r.rolname = current_user) as superuser,
    current_setting('fsync') = 'off' or current_setting('full_page_writes') = 'off' as forgets,
    current_setting('synchronous_commit') = 'off'
        and coalesce(current_setting('queue_tasks.durable_enqueue', true), '') = 'off' as hasty,
    current_setting('autovacuum') = 'off' as unvacuumed,
    pg_backend_pid() = %(backend_pid)s::integer as direct
