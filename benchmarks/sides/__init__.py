"""The programs that are measured, one module for each queue: `python -m benchmarks.sides.NAME client|worker`.

A client reads lines from its standard input and answers each with a line `done`:

    fill JOB COUNT      enqueue COUNT in bulk, as this queue does it best; done SECONDS
    single JOB COUNT    enqueue COUNT, each in a transaction of its own; done SECONDS
    one JOB             enqueue one; done NANOSECONDS, when its commit had returned

A worker says `ready`, and its jobs say (see speech.py):

    first NANOSECONDS            the first body of a run of BENCHMARK_COUNT
    mark NUMBER NANOSECONDS      every BENCHMARK_MARK bodies
    last NANOSECONDS             the last body
    start NANOSECONDS            the body of the job `clock`

Times are of the monotonic clock, which all processes of a machine share. No module but ours.py may import Django: the
others also run in environments of their own.
"""
