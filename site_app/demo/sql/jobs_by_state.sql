-- The jobs of each task by state (site_app/demo/measure.py).
select
    task_name,
    count(*) filter (where status = 'succeeded') as succeeded,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status not in ('succeeded', 'failed')) as other
from procrastinate_jobs
group by task_name
order by min(id);
