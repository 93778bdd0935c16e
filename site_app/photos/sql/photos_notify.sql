-- photos_notify() -> trigger
-- Tell the open pages that a photo changed: the photo's id on channel site_photos, once per transaction and photo
-- (Postgres joins equal notifications), at the moment of the commit and never for what is rolled back.
-- Argument   the column that holds the photo's id: `id` on photos_photo, `photo_id` on photos_step
-- Heard by   site_app/live/listener.py
create function photos_notify() returns trigger
    language plpgsql
as $body$
begin
    perform pg_notify('site_photos', to_jsonb(case when tg_op = 'DELETE' then old else new end) ->> tg_argv[0]);
    return null;
end
$body$;

comment on function photos_notify() is 'Tell the open pages that a photo changed.';

create trigger photos_photo_notify
    after insert or update or delete on photos_photo
    for each row execute function photos_notify('id');

create trigger photos_step_notify
    after insert or update or delete on photos_step
    for each row execute function photos_notify('photo_id');
