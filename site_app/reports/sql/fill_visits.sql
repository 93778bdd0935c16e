-- Make up visits unless there are some; returns how many were written (site_app/reports/visits.py).
select reports_fill_visits(%(rows)s::integer);
