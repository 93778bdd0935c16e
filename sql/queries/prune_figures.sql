-- prune_figures() -> no rows
-- Forget what no chart shows any more: minutes after three hours, quarters after two days, hours after eight.
-- Called by  store.FigureStore.prune_figures
delete from queue_tasks_figures f
where f.begins_at < statement_timestamp() - case f.grain
    when 60 then make_interval(hours => 3)
    when 900 then make_interval(days => 2)
    else make_interval(days => 8)
end
