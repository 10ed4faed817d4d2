"""What is known of the present run: `runtime.flow_run.name`, `runtime.task_run.run_count`.

Outside runs the values are empty: `None`, `[]`, `{}` or 0. A test can set any of them by a variable
of the environment, such as `CELLIST__RUNTIME__FLOW_RUN__NAME`; `PREFECT__RUNTIME__…` counts too.
"""

from cellist.runtime import deployment, flow_run, task_run

__all__ = ["deployment", "flow_run", "task_run"]
