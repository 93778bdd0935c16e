-- inspect_job(id, max_bytes, max_errors) -> 0 or 1 row: what list_jobs leaves out, as dashboard.queries.Inside
-- Values longer than max_bytes are null, with their length beside them; of the errors the newest max_errors.
-- Called by  dashboard.queries.inspect
-- Index      procrastinate_jobs_pkey
select
    j.queueing_lock,
    j.qt_ephemeral as ephemeral,
    j.qt_lease as lease,
    j.qt_crashes as crashes,
    case when octet_length(j.args::text) <= %(max_bytes)s::integer then j.args::text end as args,
    octet_length(j.args::text) as args_bytes,
    case when octet_length(j.qt_result::text) <= %(max_bytes)s::integer then j.qt_result::text end as result,
    octet_length(j.qt_result::text) as result_bytes,
    (
        select jsonb_agg(e.error order by e.place)::text
        from (
            select n.error, n.place
            from jsonb_array_elements(
                case when jsonb_typeof(j.qt_errors) = 'array' then j.qt_errors else '[]'::jsonb end
            ) with ordinality n (error, place)
            order by n.place desc
            limit %(max_errors)s::bigint
        ) e
        where octet_length(e.error::text) <= %(max_bytes)s::integer
    ) as errors,
    case when octet_length(j.qt_meta::text) <= %(max_bytes)s::integer then j.qt_meta::text end as meta,
    case when isfinite(j.qt_expires_at) then j.qt_expires_at end as expires_at,
    w.qt_name as worker_name,
    w.qt_host as worker_host,
    w.qt_pid as worker_pid
from procrastinate_jobs j
left join procrastinate_workers w on w.id = j.worker_id
where j.id = %(id)s::bigint
