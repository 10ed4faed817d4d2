"""What leaves a notebook and comes from others: bundles of cached results, and trust in them."""
