"""Networks, losses, noise, the level search, and the training of base and rounds."""
