# What the rules of study.smk and figures.smk share.

# The modules behind every figure.
STYLE_MODULES = ("evaluation.tables", "report.jobs", "report.style")
SCORE_MODULES = (
    *STYLE_MODULES,
    "evaluation.bootstrap",
    "evaluation.metrics",
    "report.noisy",
)


def shown(path, category, result, caption):
    """Mark an output for the report; `result` is its number and name there."""
    # A second label with two values would be taken for a switch between two views.
    return report(
        path,
        category=category,
        labels={"result": result},
        caption=f"../report/{caption}.rst",
    )
