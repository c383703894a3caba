"""From audio and notes to frames: CQT, labels, Parquet shards, the frame matrix."""
