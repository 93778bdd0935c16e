-- reports_notify() -> trigger
-- Tell the open pages that a report changed: its id on channel site_reports, at the moment of the commit.
-- Heard by   site_app/live/listener.py
create function reports_notify() returns trigger
    language plpgsql
as $body$
begin
    perform pg_notify('site_reports', new.id::text);
    return null;
end
$body$;

comment on function reports_notify() is 'Tell the open pages that a report changed.';

create trigger reports_report_notify
    after insert or update on reports_report
    for each row execute function reports_notify();
