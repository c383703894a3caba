# What all phases share: the checked configuration, the table of pieces, the
# constraints of the wildcards, and the input functions.

import getpass
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Jobs import the package by this path, and nothing from a user's own PYTHONPATH; each job parses
# the Snakefile, so it holds in a cluster job with an emptied environment too.
PACKAGE_PATH = str(Path(workflow.basedir) / "workflow")
sys.path.insert(0, PACKAGE_PATH)
os.environ.update(PYTHONPATH=PACKAGE_PATH)
# A user's ~/.keras/keras.json would choose another backend.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# In a container the user may have a number alone, and Snakemake stops where it asks for the name.
try:
    getpass.getuser()
except (KeyError, OSError):
    os.environ.update(LOGNAME=f"user_{os.getuid()}")

from at4ramt.config import (
    audio_config,
    check_config,
    evaluation_config,
    mixing_config,
    notes_config,
    peer_config,
    pool_config,
    round_settings,
    training_config,
)
from at4ramt.corpus.layout import check_folder, harmless_path
from at4ramt.corpus.pieces import SPLITS
from at4ramt.corpus.problems import check_batches
from at4ramt.corpus.sheet import is_sheet
from at4ramt.corpus.table import survey_corpus
from at4ramt.errors import InputError, suggestion
from at4ramt.files import member_bytes, source_digest
from at4ramt.training.arms import is_acoustic, pool_kinds

# Links to recordings whose names a shell would act on.
LINKS = "results/links"


def located(path):
    """A table of the config: in the working directory, else beside the Snakefile."""
    return path if os.path.exists(path) else str(Path(workflow.basedir) / path)


try:
    for folder in (str(workflow.basedir), os.getcwd()):
        check_folder(folder)
    check_config(config)
    CORPUS = survey_corpus(config["corpus"], located)
    PIECES = CORPUS.table
    for column in ("audio", "notes"):
        # What is an input of a job stands in the line that submits it.
        PIECES[column] = [harmless_path(path, LINKS) for path in PIECES[column]]
    ROWS = PIECES.to_dict("index")
    EMBEDDED = config["corpus"]["kind"] == "embedded"
    # The section as a job sees it, which does not know where the Snakefile is.
    tables = ["pieces", "works", "instruments", "sources"] if EMBEDDED else []
    if is_sheet(config["corpus"]["split"]):
        tables.append("split")
    LISTED_CORPUS = config["corpus"] | {table: located(config["corpus"][table]) for table in tables}
    # What config/corpus/ says of the embedded corpus, write_corpus finds out about others.
    CORPUS_TABLES = {
        table: LISTED_CORPUS[table] if EMBEDDED else f"results/corpus/{table}.tsv"
        for table in ("pieces", "works", "instruments", "sources")
    }
    if config["report"]["example_piece"] is None:
        held_out = [name for name in SPLITS if name in set(PIECES["split"])][-1]
        config["report"]["example_piece"] = PIECES.index[PIECES["split"] == held_out][0]
    if config["report"]["example_piece"] not in PIECES.index:
        raise InputError(
            f"config key report.example_piece is '{config['report']['example_piece']}', which the "
            "corpus does not have; expected a piece of it, or null for one that is chosen."
            + suggestion(config["report"]["example_piece"], PIECES.index)
        )
except InputError as error:
    raise WorkflowError(str(error)) from None

ROUNDS = [f"{number:02d}" for number in range(1, config["rounds"]["count"] + 1)]
ARMS = config["rounds"]["arms"]
SEEDS = config["seeds"]
LEAD = "adversarial"


wildcard_constraints:
    # What every piece's name is made of: ten thousand names would take a minute to compare with.
    piece=r"[A-Za-z0-9_.-]+",
    instrument="|".join(map(re.escape, PIECES["instrument"].unique())),
    split="|".join(PIECES["split"].unique()),
    arm="|".join(ARMS),
    seed="|".join(map(str, SEEDS)),
    round="|".join(ROUNDS),


def row_of(piece):
    """A piece's row of the table."""
    if piece not in ROWS:
        raise WorkflowError(
            f"the corpus has no piece '{piece}'.{suggestion(piece, ROWS)} "
            "`snakemake --cores all corpus` lists them."
        )
    return ROWS[piece]


def audio_of(piece):
    """Path of a piece's audio, or of the zip that has it."""
    return row_of(piece)["audio"]


def notes_of(piece):
    """Path of a piece's notes, or of the zip that has them."""
    return row_of(piece)["notes"]


def source_megabytes(rows, input):
    """Size of pieces' recordings, out of their zips; of those in files, with their notes."""
    packed = [row for row in rows if row["audio_member"]]
    if packed:
        return sum(member_bytes(row["audio"], row["audio_member"]) for row in packed) / 1e6
    # Not input.size_mb, which asks for each file through snakemake's storage: with 10,000 pieces a
    # third of the time that a plan takes.
    return sum(os.path.getsize(name) for name in input) / 1e6


BATCHES = check_batches(PIECES)


def shard_checks(split, instrument):
    """Checks of a shard's pieces, which no shard is built without; the embedded corpus needs none.

    Features do not wait for them: those of all others would be stale when another recording is
    checked. (Neither a checkpoint nor ancient() would do: with a checkpoint, snakemake 9.27 joins
    the group components anew after each, beyond any queue's run limit; behind ancient() it leaves
    out what is missing while the check is to run.)
    """
    if EMBEDDED:
        return []
    if hard := [problem.message for problem in CORPUS.problems if problem.stops]:
        raise WorkflowError(
            "problems of the corpus stop the run:\n  - "
            + "\n  - ".join(hard)
            + "\n`snakemake --cores all check_corpus` listens to the recordings, too, and lists everything."
        )
    return [
        f"results/corpus/checks/{batch}.json"
        for batch, rows in BATCHES.items()
        if (rows[0]["split"], rows[0]["instrument"]) == (split, instrument)
    ]


def shard_pieces(split, instrument):
    """Pieces of one shard, in the table's order."""
    chosen = (PIECES["split"] == split) & (PIECES["instrument"] == instrument)
    return list(PIECES.index[chosen])


def shards_of(split):
    """Paths of a split's shards."""
    instruments = PIECES.loc[PIECES["split"] == split, "instrument"].unique()
    return [f"results/shards/{split}/{instrument}.parquet" for instrument in instruments]


def shard_files():
    """Paths of all shards."""
    return [path for split in PIECES["split"].unique() for path in shards_of(split)]


def shard_counts():
    """Paths of what is counted of all shards, a file beside each."""
    return [path.removesuffix(".parquet") + ".json" for path in shard_files()]


def read_files(splits, files):
    """Inputs of a rule that reads files of all pieces of some splits.

    The files; of a user's own recordings the shards instead, which are made of the features of all
    these pieces: an edge of the graph for each piece and model would make a plan of 10,000 pieces
    take minutes.
    """
    return files if EMBEDDED else [path for split in splits for path in shards_of(split)]


def evaluated_splits():
    """Splits to score that the table of pieces has."""
    return [split for split in config["evaluation"]["splits"] if (PIECES["split"] == split).any()]


def audio_splits():
    """Splits to score with noise in the audio that the table of pieces has."""
    wanted = config["evaluation"]["audio_splits"]
    return [split for split in wanted if (PIECES["split"] == split).any()]


def stem_of(arm, seed, round_number):
    """Path of a model without its suffix; `round_number` 0 is the base."""
    if int(round_number) == 0:
        return f"results/models/base/seed_{seed}"
    return f"results/models/{arm}/seed_{seed}/round_{int(round_number):02d}"


def model_name(arm, seed, round_number):
    """Name of a model: its path without `results/models/` and suffix."""
    return stem_of(arm, seed, round_number).removeprefix("results/models/")


def parent_model(wildcards):
    """The model that a round goes on from: the round before, the base for round 01, or none."""
    from_scratch = config["arms"][wildcards.arm].get("start") == "scratch"
    if from_scratch and int(wildcards.round) == 1:
        return []
    return stem_of(wildcards.arm, wildcards.seed, int(wildcards.round) - 1) + ".keras"


def follows_lead(arm):
    """Whether an arm trains as many epochs as the adversarial arm did, rather than its own."""
    if LEAD not in ARMS or arm == LEAD or "epochs" in config["arms"][arm]:
        return False
    of_lead = [round_settings(config, int(number), LEAD) for number in ROUNDS]
    return any(settings["patience_epochs"] < settings["epochs"] for settings in of_lead)


def lead_history(wildcards):
    """History whose number of epochs a control repeats; nothing if it need not."""
    if not follows_lead(wildcards.arm):
        return []
    return stem_of(LEAD, wildcards.seed, wildcards.round) + ".history.parquet"


# What model_name() gives, as a wildcard.
MODEL_NAME = r"(base/seed_\d+|[a-z][a-z0-9_]*/seed_\d+/round_\d+)"


def noise_pools(noise):
    """Pools that an arm's noise is drawn from, if it is noise in the audio."""
    return expand("results/noise/{kind}.npz", kind=pool_kinds(noise)) if is_acoustic(noise) else []


# (arm, seed, round) of every model that is scored; the base is round 0.
MODELS = [
    *(("base", seed, 0) for seed in SEEDS),
    *(
        (arm, seed, number)
        for seed in SEEDS
        for arm in ARMS
        for number in range(1, len(ROUNDS) + 1)
        if number == len(ROUNDS) or arm in config["evaluation"]["every_round_of"]
    ),
]

# The same for every model that is trained.
TRAINED = [
    *(("base", seed, 0) for seed in SEEDS),
    *((arm, seed, number) for seed in SEEDS for arm in ARMS for number in map(int, ROUNDS)),
]


def model_files():
    """Paths of the cards of all models."""
    return [stem_of(*model) + ".json" for model in TRAINED]


def history_files():
    """Paths of the histories of all models."""
    return [stem_of(*model) + ".history.parquet" for model in TRAINED]


def search_files():
    """Paths of the traces of all level searches."""
    return [stem_of(*model) + ".search.parquet" for model in TRAINED if model[2] > 0]


def sections(*names):
    """Sections of the configuration that a rule's result depends on."""
    return {name: config[name] for name in names}


# Tables of the evaluation, each collected from a part per model.
SCORED_TABLES = ("scores", "scores_all_frames", "frame_metrics", "confusion")

# Modules whose change asks for training again.
TRAINING_MODULES = (
    "evaluation.metrics",
    "features.frames",
    "seeds",
    "training.adversary",
    "training.augment",
    "training.backend",
    "training.checkpoint",
    "training.equivariant",
    "training.jobs",
    "training.loop",
    "training.losses",
    "training.model_file",
    "training.network",
    "training.noise",
    "training.segments",
)
