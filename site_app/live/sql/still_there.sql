-- Whether the server still answers on a connection that has been silent (site_app/live/listener.py).
select 1;
