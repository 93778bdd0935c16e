"""The pages, and what their forms do, a module for each.

A view reads the request, asks a service, and fills a template.
"""
