"""queue_worker runs jobs; queue looks at them and controls them."""
