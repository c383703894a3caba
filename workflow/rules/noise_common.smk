# What the rules of noise.smk share.

# A few dozen recordings, spread over all training pieces, are a crowd.
BABBLE_PIECES = 64

BABBLE = "results/noise/babble_excerpts.npz"
MIXING_MODULES = (
    "audio_noise.babble",
    "audio_noise.kinds",
    "audio_noise.mixing",
    "features.audio",
    "features.cqt",
    "features.power",
    "features.stream",
    "seeds",
)


def babble_rows():
    """Training pieces of which babble is made, every nth where there are many."""
    training = PIECES[PIECES["split"] == "training"]
    return training.iloc[:: -(-len(training) // BABBLE_PIECES) or 1]


def mixtures_of(wildcards):
    """What is heard of each piece of a split in noise."""
    return expand(
        "results/noise/mixed/{piece}.npz",
        piece=PIECES.index[PIECES["split"] == wildcards.split],
    )


# Mixtures of a piece.
CONDITIONS = len(config["evaluation"]["audio_noises"]) * len(config["evaluation"]["audio_snr_db"])

# What is heard in noise of the splits that are scored in it; nothing if there is no noise.
MIXTURES = [f"results/noise/mixed/{split}.json" for split in audio_splits() if CONDITIONS]
