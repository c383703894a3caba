"""Entropies are those of the definition, of the last models, in the frames that are scored."""

import numpy as np
from benchmarks.certainty import LEVELS, certainty, entropy_bits, last_models
from support.models import write_model

from at4ramt.evaluation.metrics import probabilities
from at4ramt.evaluation.score_model import load_pieces


def test_the_entropy_of_a_probability():
    found = entropy_bits(np.array([0.0, 0.25, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(found, [0, 2 - 0.75 * np.log2(3), 1, 2 - 0.75 * np.log2(3), 0])


def test_of_each_seed_the_last_round_is_looked_at(tmp_path):
    wanted = []
    for seed, rounds in ((0, 10), (1, 9)):
        folder = tmp_path / "models" / "clean" / f"seed_{seed}"
        folder.mkdir(parents=True)
        for number in range(1, rounds + 1):
            (folder / f"round_{number:02d}.keras").touch()
        wanted.append(folder / f"round_{rounds:02d}.keras")
    assert last_models(tmp_path, "clean") == wanted


def test_the_rows_of_a_model(tmp_path, write_shard, keras_started, demo_config):
    from at4ramt.training.loop import predict_logits
    from at4ramt.training.model_file import load_model

    card = {"features": demo_config["features"], "context_frames": 7, "threshold_fitted": 0.5}
    card |= {"frame_step": 2, "arm": "base", "seed": 3, "round": 0}
    path = write_model(tmp_path / "a.keras", "small", card=card)
    shard = write_shard(tmp_path / "shards" / "I.parquet", ["one", "two"])
    rows = list(certainty(path, [shard]))
    assert [row["level"] for row in rows] == list(LEVELS)
    model = load_model(path)
    pieces = list(load_pieces({"test": [shard]}, demo_config["features"], 3, 7))
    for row in rows:
        entropies, truths = [], []
        for piece in pieces:
            noisy = piece.magnitudes + np.float32(row["level"]) * piece.noise("uniform")
            p = probabilities(predict_logits(model.network, noisy))[piece.centre]
            entropies.append(-p * np.log2(p) - (1 - p) * np.log2(1 - p))
            truths.append(piece.truth[piece.centre])
        bits, truth = np.concatenate(entropies), np.concatenate(truths)
        assert (row["cells"], row["sounding"]) == (truth.size, truth.sum()) and truth.any()
        np.testing.assert_allclose(row["entropy_bits"], bits.mean())
        np.testing.assert_allclose(row["entropy_bits_sounding"], bits[truth].mean())
        np.testing.assert_allclose(row["entropy_bits_silent"], bits[~truth].mean())
