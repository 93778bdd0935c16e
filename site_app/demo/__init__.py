"""The whole story in half a minute: photos uploaded to a real site, handled by a real worker, every claim checked.

__main__.py   starts it, and sees that everything ends
story.py      what is told, in order
stage.py      a database and a folder of its own, and the programs
pictures.py   draws photographs
visitor.py    uploads over HTTP, and follows the live page
proofs.py     what must be true: rows, files, nothing of what failed
measure.py    how fast
screen.py     what you read
tasks.py      the job that does nothing
"""
