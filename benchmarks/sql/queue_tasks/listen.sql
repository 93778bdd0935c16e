-- listen() -> no rows
-- Hear of every queue.
-- Called by  benchmarks.measures.notify
listen procrastinate_any_queue_v1
