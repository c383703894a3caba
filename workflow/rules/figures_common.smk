# What the rules of figures.smk share.


def shown(path, category, result, caption):
    """Mark an output for the report; `result` is its number and name there."""
    # A second label with two values would be taken for a switch between two views.
    return report(
        path,
        category=category,
        labels={"result": result},
        caption=f"../report/{caption}.rst",
    )
