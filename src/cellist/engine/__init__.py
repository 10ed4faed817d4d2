"""The life of a run, and what carries it out.

`steps` tells the life of one run as a generator that yields commands (`commands`) and is sent
outcomes. `drivers` perform the commands in the calling thread or on an event loop; `scheduler`
performs them for submitted runs, where a waiting run holds no thread.
"""
