-- 0001_initial.reverse: back to procrastinate's own schema, exactly
-- Called by  manage.py migrate queue_tasks zero
-- What only we know is lost: results, errors, times, progress, schedules, changes, figures, pauses, limits. Jobs, their states and their events stay. A reference that upstream's
-- foreign keys would refuse (a finished job's worker that is gone) becomes null, as upstream would have made it.

-- drop triggers
drop trigger if exists queue_tasks_schedules_changed on queue_tasks_schedules;
drop trigger if exists queue_tasks_queues_changed on queue_tasks_queues;
drop trigger if exists procrastinate_workers_qt_told on procrastinate_workers;
drop trigger if exists procrastinate_workers_qt_inserted on procrastinate_workers;
drop function if exists queue_tasks_workers_inserted_v1();
drop trigger if exists procrastinate_workers_qt_deleted on procrastinate_workers;
drop function if exists queue_tasks_workers_deleted_v1();
drop trigger if exists procrastinate_periodic_defers_qt_updated on procrastinate_periodic_defers;
drop function if exists queue_tasks_periodic_defers_updated_v1();
drop trigger if exists procrastinate_periodic_defers_qt_inserted on procrastinate_periodic_defers;
drop function if exists queue_tasks_periodic_defers_inserted_v1();
drop trigger if exists procrastinate_jobs_qt_updated on procrastinate_jobs;
drop function if exists queue_tasks_jobs_updated_v1();
drop trigger if exists procrastinate_jobs_qt_inserted on procrastinate_jobs;
drop function if exists queue_tasks_jobs_inserted_v1();
drop trigger if exists procrastinate_jobs_qt_deleted on procrastinate_jobs;
drop function if exists queue_tasks_jobs_deleted_v1();
drop trigger if exists procrastinate_events_qt_inserted on procrastinate_events;
drop function if exists queue_tasks_events_inserted_v1();
-- end of triggers

-- A parked job has no meaning to upstream: it becomes ready.
update procrastinate_jobs set scheduled_at = null where status = 'todo' and scheduled_at >= queue_tasks_parked_until_v1();

-- drop functions
drop function if exists queue_tasks_worker_lock_v1;
drop function if exists queue_tasks_wake_queues_v1;
drop function if exists queue_tasks_wake_queue_v1;
drop function if exists queue_tasks_tell_v1;
drop function if exists queue_tasks_tell_scheduled_v1;
drop function if exists queue_tasks_tell_finished_v1;
drop function if exists queue_tasks_take_queueing_locks_v1;
drop function if exists queue_tasks_take_merged_v1;
drop function if exists queue_tasks_take_limited_v1;
drop function if exists queue_tasks_take_from_place_v1;
drop function if exists queue_tasks_take_first_v1;
drop function if exists queue_tasks_take_candidates_v1;
drop function if exists queue_tasks_sync_schedules_v1;
drop function if exists queue_tasks_some_lock_free_v1;
drop function if exists queue_tasks_run_schedule_v1;
drop function if exists queue_tasks_run_after_v1;
drop function if exists queue_tasks_retry_jobs_v1;
drop function if exists queue_tasks_rescue_jobs_v1;
drop function if exists queue_tasks_require_workers_v1;
drop function if exists queue_tasks_require_jobs_v1;
drop function if exists queue_tasks_refuse_abort_v1;
drop function if exists queue_tasks_reclaim_jobs_v1;
drop function if exists queue_tasks_ready_queues_v1;
drop function if exists queue_tasks_ready_locked_queues_v1;
drop function if exists queue_tasks_prune_jobs_v1;
drop function if exists queue_tasks_promote_jobs_v1;
drop function if exists queue_tasks_note_place_v1;
drop function if exists queue_tasks_look_v1;
drop function if exists queue_tasks_is_not_fetching_v1;
drop function if exists queue_tasks_is_followed_v1;
drop function if exists queue_tasks_is_due_before_v1;
drop function if exists queue_tasks_hold_limits_v1;
drop function if exists queue_tasks_free_heads_v1;
drop function if exists queue_tasks_follow_v1;
drop function if exists queue_tasks_fire_schedule_v1;
drop function if exists queue_tasks_finish_jobs_v1;
drop function if exists queue_tasks_fetch_jobs_v1;
drop function if exists queue_tasks_enqueue_v1;
drop function if exists queue_tasks_enqueue_ticks_v1;
drop function if exists queue_tasks_enqueue_job_v1;
drop function if exists queue_tasks_count_running_v1;
drop function if exists queue_tasks_beat_v1;
drop function if exists queue_tasks_parked_until_v1;
-- end of functions

-- drop indexes
drop index if exists queue_tasks_schedules_name_idx;
drop index if exists queue_tasks_figures_place_idx;
drop index if exists queue_tasks_changes_ticket_idx;
drop index if exists procrastinate_jobs_queueing_lock_idx_v1;
drop index if exists procrastinate_jobs_queue_name_idx_v1;
drop index if exists procrastinate_jobs_qt_unowned_idx;
drop index if exists procrastinate_jobs_qt_scheduled_idx;
drop index if exists procrastinate_jobs_qt_ready_locked_idx;
drop index if exists procrastinate_jobs_qt_ready_idx;
drop index if exists procrastinate_jobs_qt_locked_idx;
drop index if exists procrastinate_jobs_qt_failed_idx;
drop index if exists procrastinate_jobs_qt_expires_idx;
drop index if exists procrastinate_jobs_lock_idx_v1;
drop index if exists procrastinate_jobs_id_lock_idx_v1;
-- end of indexes
create index procrastinate_jobs_queue_name_idx_v1 on procrastinate_jobs (queue_name);
create unique index procrastinate_jobs_queueing_lock_idx_v1 on procrastinate_jobs (queueing_lock) where status = 'todo';
create unique index procrastinate_jobs_lock_idx_v1 on procrastinate_jobs (lock) where status = 'doing';
create index procrastinate_jobs_id_lock_idx_v1 on procrastinate_jobs (id, lock) where status = any (array['todo'::procrastinate_job_status, 'doing'::procrastinate_job_status]);

-- drop tables
drop table if exists queue_tasks_ticks;
drop table if exists queue_tasks_schedules;
drop table if exists queue_tasks_queues;
drop table if exists queue_tasks_listeners;
drop table if exists queue_tasks_figures;
drop table if exists queue_tasks_changes;
alter table procrastinate_workers
    drop column if exists qt_busy,
    drop column if exists qt_concurrency,
    drop column if exists qt_host,
    drop column if exists qt_locked,
    drop column if exists qt_memory,
    drop column if exists qt_name,
    drop column if exists qt_pid,
    drop column if exists qt_queues,
    drop column if exists qt_started_at,
    drop column if exists qt_told,
    drop column if exists qt_version;
alter table procrastinate_jobs
    drop column if exists qt_attempted_at,
    drop column if exists qt_crashes,
    drop column if exists qt_enqueued_at,
    drop column if exists qt_ephemeral,
    drop column if exists qt_errors,
    drop column if exists qt_expires_at,
    drop column if exists qt_finished_at,
    drop column if exists qt_lease,
    drop column if exists qt_meta,
    drop column if exists qt_result,
    drop column if exists qt_started_at,
    drop column if exists qt_started_lease;
-- end of tables

update procrastinate_jobs j set worker_id = null
where j.worker_id is not null and not exists (select from procrastinate_workers w where w.id = j.worker_id);
update procrastinate_periodic_defers p set job_id = null
where p.job_id is not null and not exists (select from procrastinate_jobs j where j.id = p.job_id);
update procrastinate_jobs set abort_requested = false where status = 'todo' and abort_requested;
delete from procrastinate_events e where not exists (select from procrastinate_jobs j where j.id = e.job_id);
alter table procrastinate_jobs add constraint check_not_todo_abort_requested check (not (status = 'todo' and abort_requested = true));
alter table procrastinate_jobs add constraint procrastinate_jobs_worker_id_fkey foreign key (worker_id) references procrastinate_workers (id) on delete set null;
alter table procrastinate_events add constraint procrastinate_events_job_id_fkey foreign key (job_id) references procrastinate_jobs (id) on delete cascade;
alter table procrastinate_periodic_defers add constraint procrastinate_periodic_defers_job_id_fkey foreign key (job_id) references procrastinate_jobs (id);

create trigger procrastinate_jobs_notify_queue_job_inserted_v1
    after insert on procrastinate_jobs
    for each row when ((new.status = 'todo'::procrastinate_job_status))
    execute procedure procrastinate_notify_queue_job_inserted_v1();
create trigger procrastinate_jobs_notify_queue_job_aborted_v1
    after update of abort_requested on procrastinate_jobs
    for each row when ((old.abort_requested = false and new.abort_requested = true and new.status = 'doing'::procrastinate_job_status))
    execute procedure procrastinate_notify_queue_abort_job_v1();
create trigger procrastinate_trigger_status_events_update_v1
    after update of status on procrastinate_jobs
    for each row
    execute procedure procrastinate_trigger_function_status_events_update_v1();
create trigger procrastinate_trigger_status_events_insert_v1
    after insert on procrastinate_jobs
    for each row when ((new.status = 'todo'::procrastinate_job_status))
    execute procedure procrastinate_trigger_function_status_events_insert_v1();
create trigger procrastinate_trigger_scheduled_events_v1
    after update or insert on procrastinate_jobs
    for each row when ((new.scheduled_at is not null and new.status = 'todo'::procrastinate_job_status))
    execute procedure procrastinate_trigger_function_scheduled_events_v1();
create trigger procrastinate_trigger_abort_requested_events_v1
    after update of abort_requested on procrastinate_jobs
    for each row when ((new.abort_requested = true))
    execute procedure procrastinate_trigger_abort_requested_events_procedure_v1();
create trigger procrastinate_trigger_delete_jobs_v1
    before delete on procrastinate_jobs
    for each row execute procedure procrastinate_unlink_periodic_defers_v1();
