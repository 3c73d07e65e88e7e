"""A session: one run from wherever its log stands to its end, with a display."""

from __future__ import annotations

import sys
from pathlib import Path

from evomerge.cli.display import Display, open_display
from evomerge.errors import ConfigError, EvomergeError
from evomerge.execution import Executor
from evomerge.finals import assess, entries, models_before
from evomerge.report import intervals
from evomerge.report.html import write_report
from evomerge.report.tables import finalists_table
from evomerge.runs import Asked, Finished, RunLog, Started
from evomerge.runs.budget import SPENT
from evomerge.runs.environment import describe, save_environment
from evomerge.runs.log import check_free, identity_of
from evomerge.runs.replay import replay
from evomerge.runs.results import Results, examiner_of
from evomerge.search import Search
from evomerge.settings import Settings, load_settings, save_settings
from evomerge.study import Study, assemble, with_filled_starts


def begin(settings: Settings, run_dir: Path) -> int:
    """Start a new run.

    Everything that can be wrong with the settings is found before the folder is made.

    Raises:
        ConfigError: If the settings are wrong or the folder holds a run.
    """
    check_free(run_dir)
    settings = with_filled_starts(settings)
    study = assemble(settings)
    study.check_machine()
    with RunLog.create(run_dir) as log:
        save_settings(settings, run_dir)
        save_environment(run_dir, describe())
        log.write_items(study.fitness.item_rows())
        log.append(Started(study.identity))
        return _carry_on(study, log)


def go_on(settings: Settings, run_dir: Path) -> int:
    """Go on with a run. Where the settings cannot be those of its log, nothing on disk changes.

    Raises:
        ConfigError: If models, items or settings are not those that the run began with.
    """
    study = assemble(settings)
    study.check_machine()
    with RunLog.open(run_dir) as log:
        began = identity_of(log)
        changed = [name for name in began if began[name] != study.identity[name]]
        if changed:
            what = f"{', '.join(changed)} changed since the run began, so its log cannot be continued."
            raise ConfigError.at(str(run_dir), f"{what} Restore them, or start a new run.")
        if settings != load_settings(run_dir):
            _check_continues(study, log)
            save_settings(settings, run_dir)
        return _carry_on(study, log)


def _check_continues(study: Study, log: RunLog) -> None:
    """Refuse a budget that would have made other proposals from the beginning on."""
    if not log.numbers(Asked):
        return
    try:
        replay(log, study.optimizer(), examiner_of(log, study.fitness, study.settings.seed))
    except EvomergeError as error:
        name = study.settings.optimizer["name"]
        why = f"{name} plans for its budget, and with another one it would not have proposed what this log holds"
        how = f"Start a new run: `evomerge search … start_from={log.folder}` begins with what this one found."
        raise ConfigError.at(f"{log.folder}: --candidates", f"{why}. {how}") from error


def _carry_on(study: Study, log: RunLog) -> int:
    with open_display(study, log.folder) as display:
        try:
            _search_and_assess(study, log, display)
        except KeyboardInterrupt:
            display.say(f"Stopped. Everything scored so far is kept. Go on with:\n  evomerge resume {log.folder}")
            return 130
    results = Results(log, study.fitness)
    page = write_report(log.folder, results, study.settings, study.identity)
    display.show(finalists_table(results))
    if (held := intervals.in_words(results)) is not None:
        display.say(held)
    display.say(f"Report: {page}\nExport the best: evomerge export {log.folder} OUT")
    sys.stdout.flush()
    return 0


def _search_and_assess(study: Study, log: RunLog, display: Display) -> None:
    display.catch_up(log.events())
    display.say("Loading models and tasks …")
    executor: Executor = study.executor()
    try:
        optimizer = study.optimizer()
        if models := models_before(study.some_recipe, study.fitness):
            display.say("Scoring the models on the search items …")
            assess(models, executor, study.fitness, log, display.watch, ("search",))
        examiner = examiner_of(log, study.fitness, study.settings.seed)
        budget, largest = study.budget, study.settings.generation
        search = Search(study.space, optimizer, executor, examiner, log, budget, largest, display.watch)
        progress = search.run()
        if not progress.scored:
            display.say("Every candidate failed; there is nothing to assess. The report says why.")
            log.append(Finished("every candidate failed"))
            return
        field = entries(study.space, progress, optimizer.favourite(), study.settings.finalists)
        display.begin_finals(field)
        assess(field, executor, study.fitness, log, display.watch)
        exhausted = len(progress.genomes) < budget.candidates and budget.allows(progress.spent)
        log.append(Finished("the space is exhausted" if exhausted else SPENT))
    finally:
        executor.close()
