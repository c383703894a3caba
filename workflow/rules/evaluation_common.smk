# What the rules of evaluation.smk and transcription.smk share.

# The arm that stands beside the base: the paper's, or the first that is trained.
SHOWN_ARM = LEAD if LEAD in ARMS else ARMS[0]

# Tables that this configuration asks for.
EVALUATED_TABLES = (*SCORED_TABLES, *(["notes"] if config["evaluation"]["note_levels"] else []))

# How the frames of a recording become notes.
NOTE_RULE = {
    key: value
    for key, value in config["transcription"].items()
    if key not in ("input", "model", "roll")
}
# Modules between a recording and its notes.
TRANSCRIPTION_MODULES = (
    "features.audio",
    "features.cqt",
    "features.stream",
    "training.model_file",
    "training.onnx_file",
    "transcription.models",
    "transcription.notes",
    "transcription.transcribe",
)

# Models that are scored by more than the paper's noise: the base, and the last round of each arm.
LAST_MODELS = [model for model in MODELS if model[2] in (0, len(ROUNDS))]


def noted_pieces():
    """Where features and notes of each scored piece are, as NotedPiece takes them."""
    chosen = PIECES[PIECES["split"].isin(evaluated_splits())]
    return [
        {
            "name": row.piece,
            "instrument": row.instrument,
            "split": row.split,
            "features": f"results/features/{row.piece}.parquet",
            "notes": row.notes,
            "notes_member": row.notes_member,
        }
        for row in chosen.itertuples()
    ]


def collected_cards(wildcards):
    """Paths of the cards of the models that one table has rows of."""
    return [
        stem_of(*model) + ".json"
        for model in (LAST_MODELS if wildcards.table == "notes" else MODELS)
    ]


def collected_parts(wildcards):
    """Paths of one table's parts, a model each."""
    return [
        card.replace("models", "evaluation/models", 1).replace("json", f"{wildcards.table}.parquet")
        for card in collected_cards(wildcards)
    ]


def heard_pieces():
    """Where the excerpts to listen to are from, as HeardPiece takes it.

    A piece of each test split, report.example_piece for its own.
    """
    example, start = config["report"]["example_piece"], config["report"]["example_start_seconds"]
    tests = [split for split in evaluated_splits() if split != "validation"]
    chosen = {PIECES.at[example, "split"]: example}
    for split in tests or evaluated_splits():
        chosen.setdefault(split, PIECES.index[PIECES["split"] == split][0])
    return [
        {
            "name": row.piece,
            "instrument": row.instrument,
            "split": row.split,
            "start_seconds": start,
            "audio": row.audio,
            "notes": row.notes,
            "audio_member": row.audio_member,
            "notes_member": row.notes_member,
            "piano": f"results/pianos/{row.instrument}.npz" if EMBEDDED else None,
        }
        for row in PIECES.loc[list(chosen.values())].itertuples()
    ]
