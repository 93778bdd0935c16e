"""Photos: uploaded in one transaction with their jobs, made into renditions by a worker, shown live.

views -> uploads        a request: which files are taken, and the transaction that writes photos and jobs
tasks -> images, files  a job: pure Pillow, then the file in its place and the row that says so
models -> live          a row changed: the trigger notifies, every open page is sent the new state
"""
