"""Two releases of one application, `shop`, for S31: each in a folder to be put on PYTHONPATH."""
