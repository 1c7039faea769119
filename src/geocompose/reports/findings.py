"""What a report says in sentences: which composition to take, what it costs, and what is not known. Free of torch."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from geocompose.errors import counted, shortened
from geocompose.reports.comparison import Comparison, Row, seeds_in_words
from geocompose.reports.numbers import COST_NAMES, cost_in_words, of_score
from geocompose.reports.study_report import StudyReport
from geocompose.statistics.factors import INTERACTIONS, SEED
from geocompose.statistics.intervals import Estimate
from geocompose.studies.progress import selected

_UNSTEADY = 5  # times the median standard deviation


@dataclass(frozen=True)
class Findings:
    """Sentences about one test set, under three heads."""

    take: tuple[str, ...]
    costs: tuple[str, ...]
    unknown: tuple[str, ...]


def findings(report: StudyReport, part: Comparison) -> Findings:
    """Return what one test set of a study shows."""
    return Findings(tuple(_take(part)), tuple(_costs(part)), tuple(_unknown(report, part)))


def reported_interval(one: Estimate) -> tuple[str, str]:
    """Return an estimate's interval as text and what it is about: of new places where known, else of these tiles."""
    if one.interval.known:
        return str(one.interval), "new seeds and new places"
    if one.on_these_tiles.known:
        return str(one.on_these_tiles), "new seeds on these tiles"
    return "", one.interval.reason


def _take(part: Comparison) -> Iterable[str]:
    best = part.rows[0]
    score, (interval, about) = of_score(best.estimate.mean), reported_interval(best.estimate)
    sure = f" ({interval}; {100 * part.level:.0f} % interval for {about})" if interval else f" ({about})"
    yield f"The best {part.scored.split} {part.metric} is {score}{sure}: {best.cell.name}."
    if part.tied is not None:
        yield from _ties(part)
    yield from _against_baselines(part)
    yield from _what_matters(part)


def _ties(part: Comparison) -> Iterable[str]:
    assert part.tied is not None
    tied = [row for row in part.rows if row.tied]
    others = sum(row.tied is False for row in part.rows)
    if not part.tied.pairs:
        yield f"Whether other compositions are as good can't be said: {part.tied.reason}."
        return
    lone = sum(row.tied is None for row in part.rows)
    if lone:
        those = counted(len(part.rows) - lone, "composition")
        yield f"Compared are the {those} with several seeds; {_number(lone, len(part.rows))} left out, with one each."
    if len(tied) == 1:
        yield f"{tied[0].cell.name} is better than {_all_of(others)} beyond chance."
        return
    yield (
        f"{counted(len(tied), 'composition')} of {len(tied) + others} can't be told apart from the best one"
        + (f"; {counted(others, 'is', 'are')} worse beyond chance" if others else "")
        + f". Any of the {len(tied)} is a reasonable choice; which of them is listed first is partly luck."
    )
    told: dict[int, list[str]] = {}
    for cost, words in (("trainable", "trains the fewest parameters"), ("seconds", "takes the least time")):
        row = _cheapest(tied, cost)
        if row is not None:
            told.setdefault(row.place, []).append(f"{words} ({cost_in_words(cost, row.costs[cost])})")
    said = []
    for place, gains in told.items():
        row = part.rows[place - 1]
        said.append(f"{row.cell.name} ({of_score(row.estimate.mean)}) {' and '.join(gains)}")
    if said:
        yield f"Among them, {', and '.join(said)}."


def _all_of(others: int) -> str:
    return "the other one" if others == 1 else f"all {others} others"


def _against_baselines(part: Comparison) -> Iterable[str]:
    if not part.baselines:
        return
    baseline = part.baselines[0]
    name, score = baseline.name, of_score(baseline.estimate.mean)
    sign = 1 if part.higher else -1
    told, better, worse = 0, 0, 0
    for row in part.rows:
        interval = None if row.over_baseline is None else row.over_baseline.widest_known
        if interval is not None and interval.low is not None and interval.high is not None:
            told += 1
            better += min(sign * interval.low, sign * interval.high) > 0
            worse += max(sign * interval.low, sign * interval.high) < 0
    if not told:
        return
    yield (
        f"The best baseline without a network, {name} ({baseline.detail or 'no detail'}), reaches {score}: "
        f"{_number(better, len(part.rows))} better than it, {_number(worse, len(part.rows))} worse, each by "
        "its own interval."
    )


def _number(some: int, of_all: int) -> str:
    if some == of_all and of_all > 1:
        return f"all {of_all} compositions are"
    return f"{'no composition is' if not some else counted(some, 'composition is', 'compositions are')}"


def _what_matters(part: Comparison) -> Iterable[str]:
    shares = {name: share for name, share in part.factors.items() if math.isfinite(share.share)}
    named = sorted((name for name in shares if name not in (INTERACTIONS, SEED)), key=lambda name: -shares[name].share)
    if not named:
        return
    told = [f"{name} explains {100 * shares[name].share:.0f} %" for name in named[:1]]
    told += [f"{name} {100 * shares[name].share:.0f} %" for name in named[1:4]]
    rest = {INTERACTIONS: "their interactions" if len(named) > 1 else "what it does not explain", SEED: "the seed"}
    told += [f"{words} {100 * shares[name].share:.0f} %" for name, words in rest.items() if name in shares]
    yield f"Of the variance of a run's score, {', '.join(told[:-1])} and {told[-1]}."


def _costs(part: Comparison) -> Iterable[str]:
    best = part.rows[0]
    told = [
        f"{COST_NAMES[name]} {cost_in_words(name, best.costs[name])}"
        for name in best.costs
        if best.costs[name] is not None
    ]
    if told:
        yield f"The best composition: {', '.join(told)} (means of its runs)."
    seconds = [row.costs["seconds"] for row in part.rows]
    known = [value for value in seconds if value is not None]
    if len(known) > 1:
        total = sum((row.costs["seconds"] or 0.0) * len(row.cell.every_run) for row in part.rows)
        runs = counted(sum(len(row.cell.every_run) for row in part.rows), "run")
        least, most, whole = (cost_in_words("seconds", value) for value in (min(known), max(known), total))
        yield f"A run takes {least} to {most}; all {runs} took {whole}."


def _unknown(report: StudyReport, part: Comparison) -> Iterable[str]:
    if part.tied is not None and not math.isnan(part.tied.smallest_seen):
        yield (
            f"Differences below about {of_score(part.tied.smallest_seen)} mostly stay hidden: with "
            f"{seeds_in_words(part.rows)} and {counted(part.clusters.number, 'cluster')} of test tiles "
            f"({part.clusters.what}), a larger one between two compositions shows with a probability of 80 %."
        )
        yield from _unsteady(part)
    if part.tied is not None and part.tied.reason and part.tied.pairs:
        yield f"Other places: {part.tied.reason}."
    elif not part.rows[0].estimate.interval.known:
        yield f"Other places or seeds: {part.rows[0].estimate.interval.reason}."
    if part.clusters.caveat:
        yield part.clusters.caveat
    others = sorted({name for row in part.rows for run in row.cell.every_run if (name := selected(run)) is not None})
    if others != [f"val/{part.metric}"]:
        yield f"Best epochs were chosen by {', '.join(others)}, and scores here are {part.metric}."
    if part.scored.score.kind == "reconstruction":
        yield from _beside_hidden(part)
    if part.scored.split != "test":
        yield (
            "These runs did not open a test split: scores are of the validation split, which chose their epochs (and a "
            "search's trials), and too high."
        )
    yield "Whatever the test data has none of, such as other sensors, regions or years: nothing here was tested on it."
    yield from _untuned(part)
    lacking = {state: number for state, number in report.states.items() if state != "done"}
    if lacking:
        listed = ", ".join(f"{number} {state}" for state, number in lacking.items())
        yield f"Of the study's {counted(sum(report.states.values()), 'run')}, {listed}: they are not in these numbers."
    if not any("random" in remark for row in part.rows for remark in row.remarks):
        yield (
            "No composition here starts from a random encoder, so what pretraining adds is not measured: "
            "backbone.pretrained=false (or no ckpt_path), with peft=frozen and peft=none, would show it."
        )
    if len(report.commits) > 1:
        yield f"The runs were computed by different code: {shortened(report.commits, 4, between='; ')}."


def _unsteady(part: Comparison) -> Iterable[str]:
    """Say where few compositions vary so much that others are tied for it: chance is partly that of all together."""
    known = {row.place: value for row, value in zip(part.rows, part.seed_deviations, strict=True) if value >= 0}
    if len(known) < 3:
        return
    widest = max(known, key=lambda place: known[place])
    usual = statistics.median(known.values())
    if known[widest] > _UNSTEADY * usual:
        yield (
            f"Seeds of {part.rows[widest - 1].cell.name} differ by a standard deviation of {of_score(known[widest])}, "
            f"those of most compositions by {of_score(usual)}. What counts as chance is partly the mean over all, so "
            "steady compositions are tied for longer than by themselves; a study without the unsteady ones tells more."
        )


def _beside_hidden(part: Comparison) -> Iterable[str]:
    for baseline in part.rows[0].cell.every_run[0].record.baselines:
        value = (baseline.get("metrics") or {}).get(part.metric)
        if isinstance(value, int | float):
            yield (
                f"The baseline {baseline.get('name')} has {part.metric} {of_score(value)}, over all pixels; cells are "
                "scored over hidden ones alone, so no difference is given."
            )


def _untuned(part: Comparison) -> Iterable[str]:
    runs = [run for row in part.rows for run in row.cell.every_run]
    untuned = sum("untuned rate" in row.remarks for row in part.rows)
    if untuned:
        yield (
            f"{untuned} of {counted(len(part.rows), 'composition')} ran at a default learning rate that no search has "
            "chosen: a composition may look worse than it is."
        )
    late = sum(run.record.training.get("converged") is False for run in runs)
    if late:
        yield f"{late} of {counted(len(runs), 'run')} were best in their last epoch: longer ones may change the order."


def _cheapest(rows: Sequence[Row], cost: str) -> Row | None:
    known = [row for row in rows if row.costs[cost] is not None]
    return min(known, key=lambda row: row.costs[cost] or 0.0) if known else None
