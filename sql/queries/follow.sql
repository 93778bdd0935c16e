-- follow() -> one row
-- Want to hear what becomes of jobs, until the session ends.
-- Called by  results.TaskResult.wait, await_result; news.News
-- Locks      an advisory lock of the session, shared by all who follow
select queue_tasks_follow_v1()
