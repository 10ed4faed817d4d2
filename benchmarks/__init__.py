"""What cellist costs beside pipefunc, joblib and raw baselines: `python -m benchmarks`.

A shared machine drifts by half within a minute, so a time by itself says little. Contenders are
therefore timed in turns within one run, and what counts is their ratio; the times stand beside it.
Nothing here fails: a figure above its budget is marked `over`, and reading it is up to people.

`measure` times and judges, `table` prints, `catalogue` names the benchmarks, each of which runs in
a process of its own with its own store; the other modules hold the benchmarks.
"""
