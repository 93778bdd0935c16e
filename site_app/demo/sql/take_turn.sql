-- Whether this session is the only demo on the server; it stays so until the session ends (site_app/demo/stage.py).
select pg_try_advisory_lock(hashtext('site_app.demo'));
