"""Where the user code of submitted runs is called: threads, processes, the caller itself."""
