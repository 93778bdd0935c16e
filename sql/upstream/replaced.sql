-- replaced: what we take away from upstream's schema because our own statement-level objects do it
-- Each drop is "if exists", so that it also repairs a database in which a procrastinate upgrade has made them anew.
-- Called by  the migrations; schema.repair
-- Locks      access exclusive on the four tables for an instant
drop trigger if exists procrastinate_jobs_notify_queue_job_inserted_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_jobs_notify_queue_job_aborted_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_status_events_update_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_status_events_insert_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_scheduled_events_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_abort_requested_events_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_delete_jobs_v1 on procrastinate_jobs;
alter table procrastinate_jobs drop constraint if exists check_not_todo_abort_requested;
alter table procrastinate_jobs drop constraint if exists procrastinate_jobs_worker_id_fkey;
alter table procrastinate_events drop constraint if exists procrastinate_events_job_id_fkey;
alter table procrastinate_periodic_defers drop constraint if exists procrastinate_periodic_defers_job_id_fkey;
