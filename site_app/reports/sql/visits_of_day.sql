-- The visits of one day, page by page: what one line of the report each says (site_app/reports/visits.py).
-- Index      on reports_visit (visited_at)
select
    v.path,
    count(*) as visits,
    count(distinct v.visitor) as visitors,
    round(percentile_cont(0.5) within group (order by v.duration_ms)) as median_ms,
    round(percentile_cont(0.95) within group (order by v.duration_ms)) as slow_ms
from reports_visit v
where v.visited_at >= %(day)s::date and v.visited_at < %(day)s::date + 1
group by v.path
order by visits desc, v.path;
