"""Study: simulated mean squared displacements beside their exact values and the published theorems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal

from .. import NUMERICS
from ..checks import check, flag, integer, location, picture, several_words
from ..checks import folder as named_folder
from ..simulation.progress import Progress
from ..simulation.schedule import Interrupted
from . import calls, measured, saved
from .answers import RANGE, answers
from .figures import draw
from .plan import CHOICES, PARAMETERS, MsdArguments
from .process import WITHIN
from .remarks import discrepancies
from .sgd_minus_sam import difference
from .table import Table, name, rows, words

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

WIDE = 120  # characters of a line of notes
HEAD = f"{'time':>10} {'updates':>9} {'MSD':>12} {'+- se':>9} {'exact':>12} {'z':>6} {'':2}{'theorem':>12} {'/ exact':>9}"


MATCHED_HEAD = f"{'with this drift':>18} {'/ exact':>9}"
BESIDE = (
    "theorem: as published, drift eigenvalue*(1 + rho*eigenvalue)^2 and noise free of rho, with C2 = t/lr in Theorem 3; "
    "with this drift: the same formula with the drift and noise that were simulated"
)


def _formula(row: Mapping[str, Any], value: str, ratio: str, valid: str, width: int) -> str:
    return f"{row[value]:>{width}.5e} {row[ratio]:>8.4g}{' ' if row[valid] else '*'}"


class StudyInterrupted(Interrupted):
    """Ctrl-C during msd. `study` holds the paths that were finished; `resume()` computes the others."""

    def __init__(self, run: Any, study: Study, resume: Callable[[], Study]) -> None:
        super().__init__(run)
        self.args = ("interrupted: the finished paths are in the exception's .study; its .resume() goes on",)
        self.study, self.resume = study, resume

    def __reduce__(self) -> Any:
        return Interrupted, (self.run,)


@dataclass(frozen=True, repr=False)
class Study(Table):
    """Mean squared displacements from the saddle, for a grid of settings, over time (see `samfast.msd`).

    dataset: an xarray.Dataset. Its dimensions are the parameters that were given as sequences, then `time` (lr per
    update). Variables: msd and its standard error se; ci: the confidence interval of the true value, low and high along
    `bound`; exact: the closed form of what was simulated; z = (msd - exact)/(standard deviation of msd); theorem: the
    published formula (Theorem 2 without momentum, 3 with it), with the published drift and noise; ratio = theorem/exact;
    valid: the formula is within 15 % (Theorem 3: and in its range, theory.theorem3_validity); matched_theorem,
    matched_ratio and matched_valid: the same of the formula with the drift and noise that were simulated; count: paths in
    the mean; left_out: paths that had diverged, where se, ci and z are nan, since the survivors are no fair sample;
    n_diverged: those by the end. Parameters that are plain numbers are scalar coordinates. Each variable has its
    long_name and units; the attributes tell where the numbers come from.
    """

    @property
    def discrepancies(self) -> list[str]:
        """What the published statements say otherwise than these settings show: one sentence each, with numbers."""
        return discrepancies(self)

    def difference(self) -> xr.Dataset:
        """Corollary 1: MSD of SGD - MSD of SAM, for every rho > 0 (see `samfast.study.sgd_minus_sam`)."""
        return difference(self)

    def __repr__(self) -> str:
        a, ds = self.dataset.attrs, self.dataset
        grid = ", ".join(f"{d}: {ds.sizes[d]}" for d in (*self.swept, "time"))
        return f"Study(msd, {a['method']}, {a['drift']} drift; {grid}; {a['paths']:,} paths, largest |z| {self.worst:.2f})"

    def __str__(self) -> str:
        said = [line for x in self.discrepancies for line in wrap(x, WIDE, initial_indent="- ", subsequent_indent="  ")]
        head = ["", 'Beside the text of Kim et al., "Stability Analysis of Sharpness-Aware Minimization":'] if said else []
        short = [self.shortfall] if self.shortfall else []
        first = [line for x in answers(self) for line in wrap(x, WIDE, subsequent_indent="  ")]
        numbers = f"numbers {str(self.dataset.attrs.get('numbers', ''))[:16]}"
        return "\n".join([*first, "", *self._blocks(), self.summary(), *short, numbers, *head, *said])

    def _blocks(self) -> Iterator[str]:
        both, beside = "matched_theorem" in self.dataset, False
        for setting, part in self.settings():
            shown = [p for p in PARAMETERS if p != "dampening" or setting[p]]
            yield f"{name(setting, self.varied)}   ({', '.join(words(setting, shown))})"
            differs = both and self.model(setting).departs(setting)
            beside |= differs
            yield HEAD.replace("  theorem", f"theorem {3 if setting['momentum'] else 2}") + (MATCHED_HEAD if differs else "")
            for row in rows(part):
                more = _formula(row, "matched_theorem", "matched_ratio", "matched_valid", 17) if differs else ""
                yield (
                    f"{row['time']:>10.5g} {row['time'] / setting['lr']:>9.6g} {row['msd']:>12.5e} {row['se']:>9.2e} "
                    f"{row['exact']:>12.5e} {row['z']:>6.2f} {'':2}{_formula(row, 'theorem', 'ratio', 'valid', 12)}{more}"
                    f"{'  ' + row['note'] if row['note'] else ''}"
                ).rstrip()
            yield ""
        if beside:
            yield from wrap(BESIDE, WIDE)
        if not bool(self.dataset["valid"].all()) or (beside and not bool(self.dataset["matched_valid"].all())):
            yield from wrap(f"* the theorem is not {WITHIN} of exact, or it is Theorem 3 out of its range. {RANGE}", WIDE)

    @property
    def shortfall(self) -> str:
        """What to say where the relative error that was asked for (`until`) was not reached; else ''."""
        a, ds = self.dataset.attrs, self.dataset
        if a["status"] != "until not reached":
            return ""
        error = (ds["se"] / ds["msd"]).where(ds["msd"] > 0)
        return (
            f"UNTIL NOT REACHED: the largest se/MSD is {float(error.max()):.3g} after {a['paths']:,} paths, where until="
            f"{a['until']:g} was asked for; give more paths, or leave paths= out"
        )

    def summary(self) -> str:
        """The verdict in one line."""
        a = self.dataset.attrs
        status = "INTERRUPTED, " if a["status"] == "interrupted" else ""
        return (
            f"{self.verdict()} ({status}{a['paths']:,} paths, {a['method']}, {a['drift']} drift, {a['noise']} noise, "
            f"seed {a['seed']}, {a['wall_seconds']:.1f} s)"
        )

    def more(
        self,
        *,
        paths: int | None = None,
        until: float | None = None,
        executor: Executor | None = None,
        progress: Progress = None,
    ) -> Study:
        """This study with further paths of the same seed, those numbered after its own; a loaded study too.

        paths: how many to add. until: a relative standard error; paths are added until se/msd is below it everywhere (at
        most `paths` if both are given). The study is computed on the device where it began. Raises ValueError for a study
        that was interrupted, or that was computed with other numerics (`samfast.NUMERICS`), whose paths would be others.
        """
        a = self.dataset.attrs
        check(paths is not None or until is not None, "more: give paths=, e.g. paths=100_000, or until=, e.g. until=0.001")
        add = None if paths is None else integer("paths", paths, 1, 100_000)
        check(a["status"] != "interrupted", "more: this study was interrupted, so its paths have gaps; compute it anew")
        check(
            a.get("numerics") == NUMERICS,
            f"more: this study was computed with numerics {a.get('numerics', 0)}, this samfast has {NUMERICS}; compute it anew",
        )
        call = calls.read(str(a["call"]))
        check(call.function == "msd", f"call={a['call']!r:.60}: this is no study of msd")
        given = MsdArguments(**call.given)
        options: dict[str, Any] = {"device": str(a["device"]), "executor": executor, "progress": progress}
        added: Study = measured.more(
            self.dataset, given, paths=add, until=until, made=Study, stopped=StudyInterrupted, **options
        )
        return added

    def to_pandas(self, form: Literal["wide", "long"] = "wide") -> pd.DataFrame:
        """A data frame with one row for each setting and time, as in study.csv.

        form: "wide" has a column for each variable, "long" the columns `variable` and `value`; beside them stand the
        parameters and `time`.
        """
        return saved.frame(saved.study_rows(self), form, (*CHOICES, *PARAMETERS, "time", "steps", "note"))

    def plot(self, path: Any = None, *, kind: str = "time", time: float | None = None) -> Figure:
        """A picture; written to `path` (.png, .pdf, .svg) if one is given.

        kind: "time", the MSD with z and theorem/exact; "difference", Corollary 1; or a parameter that was given as a
        sequence, such as "momentum" or "batch_size": the MSD against it at one `time` (default: the last).
        """
        figure = draw(self, kind, time)
        if path is not None:
            saved.write_figure(figure, picture("path", path))
        return figure

    def save(
        self,
        folder: Any,
        *,
        formats: Iterable[str] = ("csv", "json", "nc", "png"),
        plots: Iterable[str] = ("time",),
        overwrite: bool = False,
    ) -> list[Path]:
        """Write study.csv (one row per setting and time), study.json and study.nc (everything), and pictures; their paths.

        formats: those of them that you want. plots: kinds of `plot`; "time" is study.png, others study-<kind>.png.
        Raises FileExistsError if the folder holds another study than that of the same call, unless overwrite=True.
        """
        where, kinds = named_folder("folder", folder), several_words("formats", formats, "['csv', 'nc']")
        return saved.save(self, where, kinds, several_words("plots", plots, "['time']"), flag("overwrite", overwrite))

    @classmethod
    def load(cls, path: Any) -> Study:
        """A saved study again, exactly: from its folder, its study.nc or its study.json."""
        return cls(saved.load(location("path", path)))
