"""What the models were trained and tested on: works, pianos, frames, labels, licences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from at4ramt.files import read_json
from at4ramt.report import style

FRAME_LOOKS = {
    "used as centres": "#000000",
    "dropped, no label": "#E69F00",
    "dropped, too soft": "#0072B2",
}


def read_shards(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return one row a shard from ``<split>/<instrument>.json``, which was written with it.

    Columns: split, instrument, pieces, seconds, rows, centres, no_label,
    silent_level, active (list of centres per pitch), sha256, bytes.
    """
    rows = []
    for path in map(Path, paths):
        card = read_json(path)
        rows.append(
            {
                "split": path.parent.name,
                "instrument": path.stem,
                "pieces": len(card["pieces"]),
                "seconds": sum(piece["seconds"] for piece in card["pieces"]),
                "rows": card["rows"],
                "centres": card["centres"],
                "no_label": card["dropped"]["no_label"],
                "silent_level": card["dropped"]["silent_level"],
                "active": card["active"],
                "sha256": card["sha256"],
                "bytes": card["bytes"],
            }
        )
    table = pd.DataFrame(rows)
    order = {split: place for place, split in enumerate(style.order_splits(table["split"]))}
    return (
        table.assign(place=table["split"].map(order))
        .sort_values(["place", "instrument"], ignore_index=True)
        .drop(columns="place")
    )


def plot_frames(shards: pd.DataFrame, path: str | Path) -> None:
    """Draw frames kept as centres, and dropped by reason, for each split and piano."""
    shown = shards.iloc[::-1].reset_index(drop=True)
    parts = {
        "used as centres": shown["centres"],
        "dropped, no label": shown["no_label"],
        "dropped, too soft": shown["silent_level"],
    }
    hatches = ("", "///", "xx")
    figure, axes = plt.subplots(figsize=(10, 0.42 * len(shown) + 2))
    left = np.zeros(len(shown))
    for (name, counts), hatch in zip(parts.items(), hatches, strict=True):
        axes.barh(
            np.arange(len(shown)),
            counts,
            left=left,
            color=FRAME_LOOKS[name],
            hatch=hatch,
            edgecolor="white",
            linewidth=0.3,
            label=name,
        )
        left = left + counts.to_numpy(float)
    axes.set_yticks(
        np.arange(len(shown)),
        [
            f"{style.split_label(split)}: {piano}"
            for split, piano in zip(shown["split"], shown["instrument"], strict=True)
        ],
    )
    axes.set_xlabel("frames in the shard (every second frame of the audio)")
    axes.grid(False, axis="y")
    style.shared_legend(figure, axes)
    style.save_figure(figure, path)


def label_shares(shards: pd.DataFrame, lowest_pitch: int) -> pd.DataFrame:
    """Return by split and pitch: note, active (centres in which it sounds), share [%]."""
    rows: list[dict[str, Any]] = []
    for split in style.order_splits(shards["split"]):
        chosen = shards[shards["split"] == split]
        active = np.sum(chosen["active"].tolist(), axis=0)
        centres = int(chosen["centres"].sum())
        rows.extend(
            {
                "split": split,
                "pitch": lowest_pitch + place,
                "note": style.pitch_name(lowest_pitch + place),
                "active": int(count),
                "share": 100 * int(count) / max(1, centres),
            }
            for place, count in enumerate(active)
        )
    return pd.DataFrame(rows)


def plot_labels(shares: pd.DataFrame, path: str | Path) -> None:
    """Draw in how many of the centres each pitch sounds, a line a split."""
    looks = [
        ("#000000", "o", "-"),
        ("#0072B2", "^", (0, (5, 2))),
        ("#D55E00", "s", (0, (2, 1))),
        ("#009E73", "D", (0, (1, 1))),
    ]
    figure, axes = plt.subplots(figsize=(10, 5.4))
    for (colour, marker, dash), split in zip(
        looks, style.order_splits(shares["split"]), strict=False
    ):
        run = shares[shares["split"] == split]
        axes.plot(
            run["pitch"],
            run["share"],
            color=colour,
            marker=marker,
            linestyle=dash,
            markersize=4,
            linewidth=1.2,
            label=style.split_label(split),
        )
    lowest = int(shares["pitch"].min())
    style.label_pitch_axis(
        axes, lowest, int(shares["pitch"].max()) - lowest + 1, vertical=False, offset=lowest
    )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("pitch")
    axes.set_ylabel("frames in which the pitch sounds [% of centres]")
    style.shared_legend(figure, axes, columns=2)
    style.save_figure(figure, path)


def split_summary(shards: pd.DataFrame, pieces: pd.DataFrame) -> pd.DataFrame:
    """Return by split: works, pianos, excerpts, minutes, frames by use, and mean polyphony."""
    rows = []
    for split in style.order_splits(shards["split"]):
        chosen, listed = shards[shards["split"] == split], pieces[pieces["split"] == split]
        centres = int(chosen["centres"].sum())
        rows.append(
            {
                "split": style.split_label(split),
                "works": listed["work"].nunique(),
                "pianos": chosen["instrument"].nunique(),
                "excerpts": int(chosen["pieces"].sum()),
                "minutes": chosen["seconds"].sum() / 60,
                "frames": int(chosen["rows"].sum()),
                "used as centres": centres,
                "dropped, no label": int(chosen["no_label"].sum()),
                "dropped, too soft": int(chosen["silent_level"].sum()),
                "notes sounding at a centre": float(np.sum(chosen["active"].tolist()))
                / max(1, centres),
            }
        )
    return pd.DataFrame(rows)


def write_data(
    csv: str | Path,
    page: str | Path,
    *,
    shards: pd.DataFrame,
    pieces: pd.DataFrame,
    works: pd.DataFrame,
    instruments: pd.DataFrame,
) -> None:
    """Write what each split holds: totals, shards, works and pianos, as CSV (shards) and page."""
    style.write_csv(csv, shards.drop(columns="active"))
    spread = (
        pieces.groupby("work")
        .agg(
            split=("split", lambda values: ", ".join(style.order_splits(values))),
            excerpts=("split", "size"),
            pianos=("instrument", lambda values: ", ".join(sorted(set(values)))),
        )
        .reset_index()
    )
    listed = works.merge(spread, on="work", how="inner")
    used = instruments[instruments["instrument"].isin(set(pieces["instrument"]))]
    rows = shards.drop(columns=["active", "sha256", "bytes"]).rename(
        columns={"no_label": "dropped, no label", "silent_level": "dropped, too soft"}
    )
    style.write_page(
        page,
        "Data: splits, works, pianos",
        style.paragraph(
            "Frames are those of the shards: every second frame of the audio. A frame "
            "is used as a centre, for training or scoring, if a note sounds in it "
            "within the pitch range and its level reaches the volume threshold; "
            "other frames serve as context."
        ),
        style.html_table(
            split_summary(shards, pieces),
            "Splits",
            {"minutes": ".1f", "notes sounding at a centre": ".2f"},
        ),
        style.html_table(rows, "Shards", {"seconds": ".1f"}),
        style.html_table(
            listed[["title", "composer", "performer", "dynamics", "split", "excerpts", "pianos"]],
            "Works",
        ),
        style.html_table(used[["instrument", "title", "kind", "held_out"]], "Pianos"),
    )


def write_licences(
    csv: str | Path,
    page: str | Path,
    *,
    pieces: pd.DataFrame,
    works: pd.DataFrame,
    instruments: pd.DataFrame,
    sources: pd.DataFrame,
) -> None:
    """Write the licence of every source, work and piano used, as CSV (sources) and page."""
    used_works = works[works["work"].isin(set(pieces["work"]))]
    used_pianos = instruments[instruments["instrument"].isin(set(pieces["instrument"]))]
    style.write_csv(csv, sources)
    columns = ["source", "registry", "package", "version", "licence", "licence_url_or_text", "note"]
    style.write_page(
        page,
        "Licences of what was used",
        style.paragraph(
            "Nothing of this is part of the repository: it is fetched, in the pinned "
            "version and checked against its sha256, when the workflow runs."
            if (sources["sha256"] != "").any()
            else "Nothing of this is part of the repository: the recordings are your own copies."
        ),
        style.html_table(
            sources[columns].rename(columns={"licence_url_or_text": "where the licence stands"}),
            "Sources",
        ),
        style.html_table(
            used_works[["title", "composer", "performer", "licence", "source"]], "Works"
        ),
        style.html_table(used_pianos[["instrument", "title", "licence", "source"]], "Pianos"),
    )


def read_table(path: str | Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return a committed table of config/corpus as text columns."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return table[list(columns)] if columns else table
