"""The embedded corpus: performances and pianos, rendered in the layout of MAPS."""
