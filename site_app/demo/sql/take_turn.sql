-- Whether this session is the only demo with this database; it stays so until the session ends (site_app/demo/stage.py).
select pg_try_advisory_lock(hashtext('site_app.demo'), hashtext(%(database)s));
