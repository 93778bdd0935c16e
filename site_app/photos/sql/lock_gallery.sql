-- Let one upload at a time count the gallery, until its transaction ends (site_app/photos/uploads.py).
-- Without it two uploads that both just fit would both be counted before the other's rows can be seen.
select pg_advisory_xact_lock(hashtext('site_app.photos gallery'));
