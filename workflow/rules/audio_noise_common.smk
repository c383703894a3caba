# What the rules of audio_noise.smk share.

from snakemake.settings.types import DeploymentMethod

# Other systems that hear what our models hear: those with an environment of their own, and files of
# models that were trained elsewhere.
PEERS = config["evaluation"]["peers"]
PEER_MODELS = {row["name"]: located(row["model"]) for row in config["evaluation"]["peer_models"]}

PEER_SPLIT = "|".join(PIECES["split"].unique())
# Both paths are parameters, and relative: a clone that is moved or copied has nothing to run again.
PEER_SCRIPT = os.path.relpath(Path(workflow.basedir) / "workflow/scripts/run_basic_pitch.py")
# Jobs of a peer are started by a Python of its own: conda's, or that of `make setup`.
PEER_BY_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
PEER_PYTHON = (
    "python" if PEER_BY_CONDA else os.path.relpath(Path(workflow.basedir) / ".venv-peer/bin/python")
)

# The best thresholds, of a peer and of our models, are fitted on so many pieces of validation at most,
# spread over all: trying a peer's pairs takes a quarter of the music's time for each ratio of noise.
FITTING_PIECES = 20

# Modules between what is heard of a piece and what is counted of it.
AUDIO_MODULES = (
    "audio_noise.mixing",
    "evaluation.in_audio",
    "evaluation.notes",
    "features.cqt",
    "features.labels",
    "features.shards",
    "transcription.models",
    "transcription.notes",
)
PEER_MODULES = (
    "audio_noise.kinds",
    "audio_noise.mixing",
    "evaluation.in_audio",
    "evaluation.notes",
    "evaluation.peer_basic_pitch",
    "features.audio",
    "features.labels",
    "seeds",
)


def sounding_pieces(splits):
    """Where features, recording and notes of pieces are, as SoundingPiece takes them."""
    return [
        {
            "name": row.piece,
            "instrument": row.instrument,
            "split": row.split,
            "features": f"results/features/{row.piece}.parquet",
            "audio": row.audio,
            "notes": row.notes,
            "audio_member": row.audio_member,
            "notes_member": row.notes_member,
            "mixed": f"results/noise/mixed/{row.piece}.npz",
        }
        for row in PIECES[PIECES["split"].isin(splits)].itertuples()
    ]


SOUNDING = sounding_pieces(audio_splits())


def fitting_pieces():
    """Pieces of validation, every nth where there are more than FITTING_PIECES."""
    pieces = sounding_pieces(["validation"])
    return pieces[:: -(-len(pieces) // FITTING_PIECES) or 1]


FITTING = fitting_pieces()
FITTED_ON = [piece["name"] for piece in FITTING if piece in SOUNDING]


def sounding_files(pieces, *kinds):
    """Files of pieces; zips with many of them once."""
    kinds = kinds or ("features", "audio", "notes")
    return sorted({piece[kind] for piece in pieces for kind in kinds})


def peer_job(wildcards):
    """What a peer is to do, as run_basic_pitch.py reads it."""
    fits = wildcards.pieces == "fitting"
    return {
        "pieces": FITTING if fits else sounding_pieces([wildcards.pieces]),
        "config": peer_config(audio_config(config)),
    }


def peer_model(wildcards):
    """File of a model that was trained elsewhere."""
    path = PEER_MODELS[wildcards.peer_model]
    if not os.path.exists(path):
        raise WorkflowError(
            f"evaluation.peer_models, {wildcards.peer_model}: there is no {path}; expected a model's "
            ".keras archive or its export, .onnx, or `peer_models: []`"
        )
    return harmless_path(path, LINKS)


def peer_export(wildcards):
    """Export beside such a model's archive, which is run in its place if it was made of it."""
    path = PEER_MODELS[wildcards.peer_model]
    export = str(Path(path).with_suffix(".onnx"))
    return [harmless_path(export, LINKS)] if path != export and os.path.exists(export) else []


def peer_environment(wildcards):
    """Nothing, if a peer's environment is there; else planning ends in a line that says so."""
    if not PEER_BY_CONDA and not os.path.exists(PEER_PYTHON):
        raise WorkflowError(
            "evaluation.peers: basic_pitch runs in an environment of its own: `make setup-peer`, or "
            "`peers: []`"
        )
    return []
