"""What a cluster must offer before the first job is submitted."""
