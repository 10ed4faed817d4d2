"""cellist: orchestration that lives inside a Jupyter kernel."""
