drop function reports_fill_visits(integer);
