"""Sources: recipes on disk in either language, and the models that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from evomerge.checkpoints import Checkpoint, digest_of, merge_problems, route_problems, stretches_of
from evomerge.checkpoints.layout import layout_of
from evomerge.documents import key, parse, read_yaml, shown, tree_of
from evomerge.errors import ConfigError, Problem
from evomerge.merging import Library
from evomerge.recipe import Recipe
from evomerge.recipe.mergekit import Layout, Locate, Reading, is_mergekit, read_mergekit
from evomerge.recipe.recipe import ModelRef, PipeRule
from evomerge.recipe.route import depth_faults, kin_of


def read_recipe(path: Path, locate: Locate, seed: int | None = None) -> Reading:
    """Read a recipe of evomerge's or of mergekit's.

    Args:
        path: The file.
        locate: Finds the models of a mergekit file.
        seed: Of the random gates of a mergekit file, which says none; absent: 0.

    Raises:
        ConfigError: With all problems of the file.
    """
    tree = read_yaml(path)
    if is_mergekit(tree):
        return read_mergekit(tree, str(path), locate, seed or 0)
    if seed is not None:
        raise ConfigError.at(f"{path}: --seed", "a recipe of evomerge says its seeds itself. Drop the option.")
    return Reading(parse(Recipe, tree, str(path)), ())


def locator(shelf: Path | None = None, library: Library | None = None) -> Locate:
    """Finds models by the names that mergekit files give them.

    Args:
        shelf: A folder of models, looked in for the whole name and for its last part where the working directory has
            no folder of that name.
        library: Where the models are opened; absent: in one of its own.
    """
    library = library or Library()

    def locate(name: str, where: str) -> tuple[str, Layout]:
        folders = [Path(name), *([shelf / name, shelf / Path(name).name] if shelf else [])]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            looked = " or ".join(map(str, dict.fromkeys(folders)))
            how = f"Download it: `hf download {name} --local-dir {folders[-1]}`"
            raise ConfigError.at(where, f"there is no model folder {looked}. {how}, or say --models FOLDER.")
        if (folder / "adapter_config.json").is_file():
            return str(folder), Layout(0, ())  # it has that of the model that it stands on
        return str(folder), layout_of(library.open(ModelRef(path=str(folder)), where=where))

    return locate


def check_models(recipe: Recipe, library: Library, where: str) -> Recipe:
    """The recipe, its models checked against it and one another.

    Where gates are random, models get their digests, so that the draw depends on what they contain and not on where
    they lie. Other models without a digest are not read for one.

    Args:
        recipe: Any recipe.
        library: Where its models are opened.
        where: Name of its file, for messages.

    Raises:
        ConfigError: If a model is not what the recipe says, or if models cannot be merged.
    """
    recipe, checkpoints = check_headers(recipe, library, where), library.open_all(recipe.models, where)
    rules = [rule for blend in recipe.canonical.blends.values() for rule in blend.rules if isinstance(rule, PipeRule)]
    is_random = any(stage.is_stochastic for rule in rules for stage in rule.pipe)
    digests = {name: digest_of(checkpoints[name]) for name, model in recipe.models.items() if is_random or model.digest}
    ConfigError.raise_if_any(
        Problem(f"{where}: models.{name}", f"{model.path} is no longer the model that the recipe names. Restore it.")
        for name, model in recipe.models.items()
        if model.digest not in (None, digests.get(name))
    )
    models = {name: model.model_copy(update={"digest": digests.get(name)}) for name, model in recipe.models.items()}
    return recipe.model_copy(update={"models": models})


def check_headers(recipe: Recipe, library: Library, where: str) -> Recipe:
    """The recipe, checked against its models as far as their configs and the headers of their files tell.

    Args:
        recipe: Any recipe.
        library: Where its models are opened.
        where: Name of its file, for messages.

    Returns:
        The recipe; where it has a route, with the depths of its models.

    Raises:
        ConfigError: If models are missing, cannot be merged, or lack layers of the route.
    """
    checkpoints = library.open_all(recipe.models, where)
    problems = merge_problems(checkpoints, where, kin_of(recipe))
    if recipe.route is not None:
        recipe = _with_depths(recipe, checkpoints)
        problems += [Problem(f"{where}: {key(place)}", what) for place, what in depth_faults(recipe)]
        if not problems:
            problems = route_problems(checkpoints, recipe.donor, map(recipe.donor_of, recipe.sources), where)
    ConfigError.raise_if_any(problems)
    return recipe


def _with_depths(recipe: Recipe, checkpoints: Mapping[str, Checkpoint]) -> Recipe:
    models = {n: model.model_copy(update={"layers": checkpoints[n].num_layers}) for n, model in recipe.models.items()}
    return recipe.model_copy(update={"models": models})


def idle_rules(recipe: Recipe, library: Library) -> Iterator[str]:
    """A remark on every rule that no tensor obeys, as a slip of the pen in its `where` makes it.

    Args:
        recipe: One whose models were checked.
        library: Where they are opened.
    """
    for blend_name, blend in recipe.blends.items():
        donor = library.open(recipe.models[recipe.donor_of(blend_name)], recipe.models)
        places = [(name, donor.position(name)) for name in donor.names]
        num_entries = max((stretch.stop for stretch in stretches_of(donor)), default=0)
        for index, rule in enumerate(blend.rules):
            where = rule.where
            if where is None:
                continue
            is_beyond = where.span is not None and where.span[0] >= num_entries
            if is_beyond or not any(where.matches(name, at.layer, at.role) for name, at in places):
                spelt = shown(tree_of(where))
                yield f"blends.{blend_name}.rules[{index}].where: {spelt} matches no tensor, so the rule does nothing."
