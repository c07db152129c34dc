"""What the scripts about folds share: a study of which only labels and protocol are known."""

from auscult.config.study import Study


def partial_study(values: dict) -> Study:
    """A study from targets, protocol, tasks and leak alone; its systems are stand-ins that train every task."""
    systems = {
        f"all_of_{name}": {"tasks": [name], "front_end": {"name": "samples"}, "network": {"name": "dbresnet"}}
        for name in values["tasks"]
    }
    heads = {head: {"name": task} for task, part in values["tasks"].items() for head in part["heads"]}
    if len(heads) == sum(len(part["heads"]) for part in values["tasks"].values()):
        systems["all"] = {**next(iter(systems.values())), "tasks": list(values["tasks"])}
    dataset = {"name": "any", "adapter": "folder", "root": ""}
    return Study.model_validate({"description": "", "dataset": dataset, "systems": systems, **values})
