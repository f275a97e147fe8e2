"""Dynamic susceptibility contrast: from a series to blood-volume, flow and leakage maps."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.perfusion import dsc_masks, dsc_report
from BMVascularCore.perfusion.dsc_settings import DscSettings
from BMVascularCore.perfusion.dsc_steps import DscRun
from BMVascularCore.perfusion.frames import without_lost_frames
from BMVascularCore.progress import silent

__all__ = ["UNITS", "DscResult", "DscSettings", "run_dsc"]

UNITS = {
    "rcbv": "mL/100 mL, up to a scale",
    "rcbv_uncorrected": "mL/100 mL, up to a scale",
    "nrcbv": "1",
    "srcbv": "1 (standard scale)",
    "k1": "1",
    "k2": "1/s",
    "k2_cv": "1",
    "leakage_model": "index (1 unidirectional, 2 bidirectional)",
    "cbf": "mL/100 g/min",
    "mtt": "s",
    "tmax": "s",
    "ttp": "s",
    "psr": "%",
    "ph": "1/s",
    "nph": "1",
}


@dataclass
class DscResult:
    """What a DSC run gives.

    Attributes
    ----------
    maps : dict of str to ndarray float32, shape (k, j, i)
        NaN where not measurable; names and units in ``units``.
    units : dict of str to str
    brain, nawm, valid : ndarray of bool, shape (k, j, i)
        ``valid`` holds usable brain voxels (no excluding flag).
    flags : ndarray of uint16, shape (k, j, i)
        Sum of the bits of :data:`dsc_masks.FLAGS`.
    times_s, mean_curve, reference_curve : ndarray, shape (t,)
    aif : aif_dsc.ArterialInput or None
    bolus : relaxation.Bolus
    nawm_facts : normalisation.NormalWhiteMatter
    summary : dict
    warnings : list of str
    methods_text : str
    """

    maps: dict
    units: dict
    brain: np.ndarray
    nawm: np.ndarray
    valid: np.ndarray
    flags: np.ndarray
    times_s: np.ndarray
    mean_curve: np.ndarray
    reference_curve: np.ndarray
    aif: object
    bolus: object
    nawm_facts: object
    summary: dict = field(default_factory=dict)
    warnings: list = field(default_factory=list)
    methods_text: str = ""

    @property
    def aif_times_s(self):
        """Frame times of the arterial input function, or None without one."""
        return None if self.aif is None else self.times_s


def run_dsc(series, settings, mask=None, exclude=None, aif=None, nawm=None, second=None, progress=None):
    """Process a DSC series.

    Parameters
    ----------
    series : Series
        Raw signal, dR2* or concentration (``settings.input``).
    settings : DscSettings
    mask : Volume or ndarray of bool, optional
        Brain; found from the baseline image by default.
    exclude : Volume or ndarray of bool, optional
        Lesion and oedema, kept out of the reference tissue. Enhancing voxels are found in any case.
    aif : (times_s, values), or Volume or ndarray of bool, optional
        Arterial input function, or its voxels; found by default.
    nawm : Volume or ndarray of bool, optional
        Normal-appearing white matter; found by mirroring by default.
    second : Series, optional
        The other echo (``settings.te2_ms``).
    progress : callable, optional

    Returns
    -------
    DscResult

    Raises
    ------
    InputError
        One sentence on what is wrong with the series, the settings or the masks.
    Cancelled
        When the progress callable says so.
    """
    if second is None:
        series = without_lost_frames(series, None, settings.input == "signal", settings.baseline)
    run = DscRun(series, settings, mask, exclude, nawm, second, progress or silent)
    maps = run.go(aif)
    flags = np.where(run.brain, run.sorted.flags, 0).astype(np.uint16)
    valid = run.brain & ((flags & dsc_masks.NOT_USABLE) == 0)
    return DscResult(
        maps=maps,
        units={name: UNITS[name] for name in maps},
        brain=run.brain,
        nawm=run.nawm_facts.mask,
        valid=valid,
        flags=flags,
        times_s=run.times,
        mean_curve=run.mean_curve,
        reference_curve=run.reference,
        aif=run.aif,
        bolus=run.bolus,
        nawm_facts=run.nawm_facts,
        summary=dsc_report.summarise(run, flags, valid, maps),
        warnings=list(dict.fromkeys(run.warnings)),
        methods_text=dsc_report.methods_text(run.settings, dsc_report.facts_of(run)),
    )
