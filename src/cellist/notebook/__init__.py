"""cellist in IPython: the extension, the magics, cells as flows, what the stop button does."""
