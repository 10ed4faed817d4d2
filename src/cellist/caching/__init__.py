"""What results are known by, where they are kept, and why one was or was not found."""
