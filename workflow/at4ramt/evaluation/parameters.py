"""What training does to a network's parameters, read from the models' files.

The paper asks for it under further research: "the effect of the training on
noisy data on the parameters of the network". Three things are measured: how far
each layer has moved from the base, what the filters of the first layer are, and
what a constant offset of the input adds to them. A ``.keras`` archive is a zip
with the weights as HDF5, so neither Keras nor TensorFlow is needed.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from at4ramt.archives import UNREADABLE, zip_content
from at4ramt.errors import AGAIN, InputError, mend, told
from at4ramt.files import parse_json
from at4ramt.parquet import write_frame
from at4ramt.seeds import purpose_seed

Model = tuple[str, int, int]
"""Arm, seed and round of a model; the base is round 0."""

BASES = "base_of_other_seed"
"""What the table of distances calls a pair of bases that differ in their seed."""


def read_weights(path: str | Path) -> dict[str, list[NDArray[np.float32]]]:
    """Return the variables of each layer that has any, in the order of the network.

    The first one of a convolution or dense layer is its kernel, the second its
    bias. Raises InputError for a file that is no model.
    """
    import h5py

    try:
        with zipfile.ZipFile(path) as archive:
            layers = parse_json(zip_content(archive, "config.json"))["config"]["layers"]
            order = {layer["config"]["name"]: place for place, layer in enumerate(layers)}
            stored = io.BytesIO(zip_content(archive, "model.weights.h5"))
    except (*UNREADABLE, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read as a model ({told(error)}); expected a .keras archive of this "
            f"workflow; {mend(error, AGAIN)}"
        ) from error
    found: dict[str, list[NDArray[np.float32]]] = {}

    def take(name: str, group: Any) -> None:
        if not isinstance(group, h5py.Group) or not name.endswith("vars"):
            return
        # Beside weights there are only the states of dropout, which are whole numbers.
        values = [group[str(place)][()] for place in range(len(group))]
        values = [value for value in values if np.issubdtype(value.dtype, np.floating)]
        if values:
            found[str(group.attrs.get("name", name.removesuffix("/vars")))] = values

    try:
        with h5py.File(stored) as file:
            file["layers"].visititems(take)
    # h5py tells what is damaged by whatever its C library meets.
    except Exception as error:
        raise InputError(
            f"{path}: its weights cannot be read ({told(error)}); expected a .keras archive of "
            f"this workflow; {mend(error, AGAIN)}"
        ) from error
    if not found:
        raise InputError(
            f"{path}: no layer of it has weights; expected those of {', '.join(order)}; {AGAIN}"
        )
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def _flat(variables: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    return np.concatenate([value.ravel().astype(np.float64) for value in variables])


def _distances(weights: Mapping[str, Any], origin: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for layer in origin:
        if layer not in weights:
            continue
        start, now = _flat(origin[layer]), _flat(weights[layer])
        # An arm may have a network of another shape, to which there is no distance.
        if start.shape == now.shape:
            norm, distance = np.linalg.norm(start), np.linalg.norm(now - start)
            rows.append(
                {
                    "layer": layer,
                    "parameters": start.size,
                    "norm_base": norm,
                    "distance": distance,
                    "relative": distance / norm,
                }
            )
    return rows


def first_kernel(weights: Mapping[str, Sequence[NDArray[np.float32]]]) -> NDArray[np.float32]:
    """Return the kernel of the first layer that convolves over frames and bins of one channel.

    Shape (frames, bins, filters); a network without such a layer has no filters.
    """
    kernels = [variables[0] for variables in weights.values()]
    seeing = (kernel for kernel in kernels if kernel.ndim == 4 and kernel.shape[2] == 1)
    return next((kernel[:, :, 0, :] for kernel in seeing), np.zeros((0, 0, 0), np.float32))


def measure_parameters(models: Mapping[Model, str | Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the distances of all models from their bases, and the first filters of the last.

    ``models`` maps arm, seed and round to a file; each seed must have its base.

    * distances: ``arm, seed, round, layer, parameters, norm_base, distance,
      relative``, a row for each model but the bases and each layer, kernel and bias
      together; relative is ||w - w_base|| / ||w_base||. For scale, the distances between
      the bases of two seeds, with the arm ``base_of_other_seed``, round 0 and the
      first of the two as seed.
    * filters: ``arm, seed, round, filter, frame, bin, weight``, a row for each weight
      of the first convolution of the bases and of each arm's last round.
    """
    last = {arm: max(number for other, _, number in models if other == arm) for arm, _, _ in models}
    bases = {seed: read_weights(path) for (arm, seed, _), path in models.items() if arm == "base"}
    distances: list[dict[str, Any]] = []
    filters: list[pd.DataFrame] = []
    for (arm, seed, number), path in models.items():
        if seed not in bases:
            raise InputError(
                f"models of arm '{arm}', seed {seed}: the base of this seed is not among them; "
                "expected it, to measure the distance from"
            )
        weights = bases[seed] if arm == "base" else read_weights(path)
        name = {"arm": arm, "seed": seed, "round": number}
        if arm != "base":
            distances.extend(name | row for row in _distances(weights, bases[seed]))
        if number == last[arm]:
            filters.append(_filter_table(first_kernel(weights)).assign(**name))
    for one, other in combinations(sorted(bases), 2):
        name = {"arm": BASES, "seed": one, "round": 0}
        distances.extend(name | row for row in _distances(bases[other], bases[one]))
    columns = ["arm", "seed", "round", "layer", "parameters", "norm_base", "distance", "relative"]
    keys = ["arm", "seed", "round", "filter", "frame", "bin", "weight"]
    return pd.DataFrame(distances, columns=columns), pd.concat(filters, ignore_index=True)[keys]


def _filter_table(kernel: NDArray[np.float32]) -> pd.DataFrame:
    frame, bin_, number = np.indices(kernel.shape)
    return pd.DataFrame(
        {
            "filter": number.ravel(),
            "frame": frame.ravel(),
            "bin": bin_.ravel(),
            "weight": kernel.ravel(),
        }
    )


def write_parameters(
    models: Mapping[Model, str | Path], distances: str | Path, filters: str | Path
) -> None:
    """Measure the models and write both tables as Parquet, whole or not at all."""
    tables = measure_parameters(models)
    for table, path in zip(tables, (distances, filters), strict=True):
        write_frame(table, path)


def offset_responses(filters: pd.DataFrame) -> pd.DataFrame:
    """Return what a constant offset of the input adds to each first filter.

    Columns arm, seed, round, filter, response: the sum of the filter's weights
    relative to the sum of their absolute values, from -1 to 1. At 0 an offset, the
    same in all the cells that the filter sees, leaves it untouched; at 1 or -1
    nothing moves it more.
    """
    keys = ["arm", "seed", "round", "filter"]
    sums = (
        filters.assign(size=filters["weight"].abs())
        .groupby(keys, as_index=False, observed=True, sort=False)[["weight", "size"]]
        .sum()
    )
    share = sums["weight"] / sums["size"].where(sums["size"] > 0)
    return sums[keys].assign(response=share.fillna(0.0))


def response_differences(
    responses: pd.DataFrame, pairs: Sequence[tuple[str, str]], *, draws: int, base_seed: int
) -> pd.DataFrame:
    """Return by how much the mean absolute response of an arm differs from another's.

    A row for each pair of arms that both are there: ``arm, against, response_arm,
    response_against, difference, low, high, filters``. As all arms start from the
    same filters, a filter is compared with itself; the 95 % interval is a bootstrap
    over the filters of all seeds.
    """
    size = responses.assign(size=responses["response"].abs()).pivot_table(
        index=["seed", "filter"], columns="arm", values="size", observed=True
    )
    rows = []
    for arm, against in pairs:
        if arm not in size or against not in size:
            continue
        both = size[[arm, against]].dropna()
        change = (both[arm] - both[against]).to_numpy()
        count = len(change)
        generator = np.random.default_rng(purpose_seed(base_seed, "bootstrap over filters", count))
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=draws) @ change / count
        low, high = np.percentile(drawn, [2.5, 97.5]) if count > 1 else (np.nan, np.nan)
        rows.append(
            {
                "arm": arm,
                "against": against,
                "response_arm": both[arm].mean(),
                "response_against": both[against].mean(),
                "difference": change.mean(),
                "low": low,
                "high": high,
                "filters": count,
            }
        )
    columns = ["arm", "against", "response_arm", "response_against"]
    columns += ["difference", "low", "high", "filters"]
    return pd.DataFrame(rows, columns=columns)
