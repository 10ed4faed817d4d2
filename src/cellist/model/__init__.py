"""Values only: states, runs, events, options. Imports nothing of cellist but its exceptions."""
