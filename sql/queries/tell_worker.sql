-- tell_worker(id, told) -> 0 or 1 row: id bigint; no row: there is no such worker of ours, or it is stopping already
-- Tell a worker to fetch nothing more (quiet), to end in order (stop), or to go on (null).
-- Called by  control.quiet_worker, control.resume_worker, control.stop_worker
update procrastinate_workers
set qt_told = %(told)s::text
where id = %(id)s::bigint and qt_name is not null and (qt_told is distinct from 'stop' or %(told)s::text = 'stop')
returning id
