-- How many jobs have an id above this one (site_app/demo/proofs.py).
select count(*) from procrastinate_jobs where id > %(id)s::bigint;
