"""What a sweep file says: options and the distributions of their values, the metric, hyperband."""
