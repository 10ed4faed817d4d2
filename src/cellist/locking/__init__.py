"""Lock managers for `CachePolicy.configure(lock_manager=...)`."""
