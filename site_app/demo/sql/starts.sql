-- When each of these jobs started (site_app/demo/measure.py).
select id, qt_attempted_at from procrastinate_jobs where id = any(%(ids)s::bigint[]);
