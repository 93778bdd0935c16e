"""Live pages: the database says what changed, one connection per process hears it, every open page is told.

    listener.py   hears   one LISTEN connection, which comes back by itself
    hub.py        reads   what changed, once for all pages, and hands it to each
    stream.py     sends   server-sent events to one page

What changed is a row's id; a notification is a hint, so the row is always read again. Nothing here knows photos or
reports: a `Topic` says how they are read.
"""
