-- The visits of one hour, page by page, in one query; written once more, it writes the same (site_app/reports/visits.py).
-- Index      on reports_visit (visited_at)
insert into reports_visithour (hour, path, visits, visitors, median_ms, slow_ms)
select
    %(hour)s::timestamptz,
    v.path,
    count(*),
    count(distinct v.visitor),
    round(percentile_cont(0.5) within group (order by v.duration_ms)),
    round(percentile_cont(0.95) within group (order by v.duration_ms))
from reports_visit v
where v.visited_at >= %(hour)s::timestamptz and v.visited_at < %(hour)s::timestamptz + interval '1 hour'
group by v.path
on conflict (hour, path) do update
set
    visits = excluded.visits,
    visitors = excluded.visitors,
    median_ms = excluded.median_ms,
    slow_ms = excluded.slow_ms;
