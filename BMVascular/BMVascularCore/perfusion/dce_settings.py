"""Settings, result and words of a DCE analysis."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.concentration import check_protocol
from BMVascularCore.perfusion.population_aif import AIF_SOURCES, DEFAULT_HEMATOCRIT

MODELS = ("tofts", "etofts", "patlak", "2cxm", "auto")
MODEL_INDEX = {"none": 0, "vp": 1, "patlak": 2, "etofts": 3, "2cxm": 4, "tofts": 5}
N_PARAMETERS = {"none": 0, "vp": 1, "patlak": 2, "etofts": 3, "2cxm": 4, "tofts": 2}
UNITS = {
    "ktrans": "1/min",
    "kep": "1/min",
    "ps": "1/min",
    "ve": "fraction",
    "vp": "fraction",
    "fp": "mL/100 mL/min",
    "delay": "s",
    "iaugc60": "mM s",
    "washin": "ratio to the input function",
    "model": "index",
    "rss": "mM^2",
    "flags": "index",
}
# a voxel without a parameter map says here why; 8 is a caution, the numbers stand
FLAGS = {
    0: "measured",
    1: "outside the mask",
    2: "holds values that are not finite",
    3: "constant over time",
    4: "baseline signal is not positive",
    5: "signal that no concentration explains (saturated, or not positive)",
    6: "T1 missing or implausible",
    7: "the fit failed",
    8: "measured, a parameter lies at its bound",
}
USABLE = (0, 8)


# slower frames cannot tell plasma flow from permeability
EXCHANGE_FRAME_S = 2.0


def candidates(times_s, fit_delay):
    """Models among which "auto" chooses, simplest first.

    The exchange model needs frames of 2 s or less. It is left out with a fitted delay: both explain the
    first seconds of a curve.
    """
    names = ["none", "vp", "patlak", "etofts"]
    fast = len(times_s) > 8 and float(np.median(np.diff(times_s))) <= EXCHANGE_FRAME_S
    return [*names, "2cxm"] if fast and not fit_delay else names


@dataclass(frozen=True)
class DceSettings:
    """How to analyse a DCE series.

    Attributes
    ----------
    model : {"tofts", "etofts", "patlak", "2cxm", "auto"}
    tr_s, flip_deg : float, optional
        Of the dynamic scan; needed unless ``concentration``.
    t10_s : float, optional
        One T1 for all voxels, where no map is given.
    relaxivity : float
        r1 in 1/(s mM).
    te_s : float, optional
        Echo time of the dynamic scan; needed with ``r2s_relaxivity``.
    r2s_relaxivity : float
        r2* in 1/(s mM); 0 takes T2* effects as nil.
    hematocrit : float
        Of large vessels.
    concentration : bool
        The series holds mM already.
    aif_is_plasma : bool
        A given curve is plasma, not whole blood.
    population_aif : str, optional
    blood_t1_s : float
        T1 of blood before the agent, for an input function measured in the series.
    baseline : (int, int), optional
        First frame and the frame after the last, counted from 0; found from the curves by default.
    fit_delay : bool
        Fit the arrival delay of each voxel relative to the input function.
    delay_range_s : (float, float)
    chunk : int, optional
        Voxels held at once.
    """

    model: str = "etofts"
    tr_s: float | None = None
    flip_deg: float | None = None
    t10_s: float | None = None
    relaxivity: float = 4.5
    te_s: float | None = None
    r2s_relaxivity: float = 0.0
    hematocrit: float = DEFAULT_HEMATOCRIT
    concentration: bool = False
    aif_is_plasma: bool = False
    population_aif: str | None = None
    blood_t1_s: float = 1.65
    baseline: tuple | None = None
    fit_delay: bool = False
    delay_range_s: tuple = (-3.0, 10.0)
    chunk: int | None = None

    @property
    def decay(self):
        """Echo time and r2* for the signal equation."""
        return (self.te_s or 0.0, self.r2s_relaxivity)

    def check(self, n_frames, has_t1):
        """Refuse settings that cannot work on a series of so many frames.

        Raises
        ------
        InputError
        """
        if self.model not in MODELS:
            raise InputError(f"unknown model '{self.model}'", "--model", f"Use {', '.join(MODELS)}.")
        if self.population_aif is not None and self.population_aif not in AIF_SOURCES:
            raise InputError(
                f"unknown function '{self.population_aif}'",
                "--population-aif",
                f"Use {', '.join(AIF_SOURCES)}.",
            )
        most = N_PARAMETERS["etofts" if self.model == "auto" else self.model] + self.fit_delay
        # AICc divides by n - k - 1 with the noise counted as a parameter
        if n_frames < most + 3:
            raise InputError(
                f"{n_frames} frames are too few for the {self.model} model with {most} parameters",
                "series",
                f"At least {most + 3} frames are needed.",
            )
        if not self.delay_range_s[0] < self.delay_range_s[1]:
            raise InputError("delay range is empty", "delay", "Give two increasing seconds.")
        if not self.concentration and (has_t1 or self.t10_s is not None):
            check_protocol(self.tr_s, self.flip_deg, self.relaxivity, self.te_s, self.r2s_relaxivity)
            if not has_t1 and self.t10_s is not None and not 0.1 <= self.t10_s <= 6:
                raise InputError(f"T1 of {self.t10_s:g} s is implausible", "--t10", "Give seconds.")
        if self.baseline is not None and not 0 <= self.baseline[0] < self.baseline[1] <= n_frames:
            raise InputError(
                f"baseline {self.baseline[0]}:{self.baseline[1]} does not lie in the {n_frames} frames",
                "--baseline",
                "Give the first frame and the frame after the last, counted from 0.",
            )


@dataclass
class DceResult:
    """Maps of a DCE analysis.

    Attributes
    ----------
    maps : dict of ndarray, shape (k, j, i), float32
        NaN where not measurable; ``flags`` says why.
    units : dict
    aif_times_s, aif_plasma_mM : ndarray
    aif_source : str
    aif_quality : dict or None
        Score 0..1 and its parts, for a measured input function.
    aif_mask : ndarray of bool or None
    warnings : list of str
    methods_text : str
    valid : ndarray of bool, shape (k, j, i)
    summary : dict
        Counts of voxels by flag and by model, medians.
    """

    maps: dict
    units: dict
    aif_times_s: np.ndarray
    aif_plasma_mM: np.ndarray
    aif_source: str
    warnings: list
    methods_text: str
    valid: np.ndarray
    aif_quality: dict | None = None
    aif_mask: np.ndarray | None = None
    summary: dict = field(default_factory=dict)
