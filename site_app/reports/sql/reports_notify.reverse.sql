drop trigger reports_report_notify on reports_report;
drop function reports_notify();
