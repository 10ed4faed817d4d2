"""Deferred runs: a durable queue, and the workers that carry out what is in it.

A root package, not one above the root modules: `Task.delay` and `Task.serve` reach into it.
"""
