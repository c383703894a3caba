"""What the report is made of: where a finished run has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def report_inputs(run: Path) -> dict[str, Any]:
    """Return the inputs of all jobs of the report, by the names that the rules give them."""
    evaluation, models = run / "results/evaluation", run / "results/models"
    tables = {
        name: run / f"config/corpus/{name}.tsv"
        for name in ("pieces", "works", "instruments", "sources")
    }
    return tables | {
        "scores": evaluation / "scores.parquet",
        "all_frames": evaluation / "scores_all_frames.parquet",
        "frame_metrics": evaluation / "frame_metrics.parquet",
        "confusion": evaluation / "confusion.parquet",
        "example": evaluation / "example.npz",
        "notes": evaluation / "notes.parquet",
        "audio": evaluation / "audio.parquet",
        "excerpts": evaluation / "listening.json",
        "levels": run / "results/tables/levels.csv",
        "cards": sorted(models.rglob("*.json")),
        "histories": sorted(models.rglob("*.history.parquet")),
        "searches": sorted(models.rglob("*.search.parquet")),
        "shards": sorted((run / "results/shards").rglob("*.json")),
    }
