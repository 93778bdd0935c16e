"""Measurements of the queue, beside other queues on the same server in the same run: `make bench`.

    __main__    the command line: which parts, how many rounds, where the results go
    harness     paired turns, medians, ratios; pure
    report      figures, what was asked beside what was found, tables, the page in docs/; pure
    bench       one run: the server, the contestants, what is measured how often
    server      the embedded Postgres, and its settings as Postgres ships them
    programs    the processes that are measured: their lines, their CPU and memory, by /proc (Linux)
    contestants the queues: how their programs are started
    peers       installs other queues into benchmarks/.peers: `make bench-peers`
    machine     what this was measured on
    parts       the parts of a run, by name
    measures/   one module for each part
    sides/      the programs: one for each queue, a client that enqueues and a worker that runs
    sql/        every statement

Absolute numbers depend on the machine and on who else uses it; the ratios of one run are what to compare.
"""
