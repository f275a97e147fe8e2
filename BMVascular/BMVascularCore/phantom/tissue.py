"""What the simulated head is made of: relaxation, diffusion, density and blood supply of each tissue.

Relaxation times are typical 3 T values chosen for this phantom; they are a design choice, not a
measurement, and nothing in the analysis reads them.
"""

from dataclasses import dataclass, replace

# Plasma volume fraction of normal-appearing white matter: the reference of every relative value.
VP_NAWM = 0.015
# Haematocrit of large vessels, and of capillaries (plasma to blood volume in tissue).
HAEMATOCRIT = 0.42
HAEMATOCRIT_CAPILLARY = 0.25


@dataclass(frozen=True)
class Tissue:
    """One homogeneous tissue.

    Attributes
    ----------
    name : str
    pd : float
        Proton density relative to water.
    t1_s, t2_s, t2s_s : float
        Relaxation times before contrast agent, seconds.
    adc : float
        Apparent diffusion coefficient, 1e-6 mm2/s.
    suv : float
        Amino-acid uptake, SUV (white matter is about 1).
    hu : float
        CT number, HU.
    vp : float
        Plasma volume fraction.
    mtt_s : float
        Mean transit time of plasma through the capillaries, seconds.
    ktrans_per_min, ve : float
        Transfer constant, and volume fraction of the extravascular extracellular space.
    delay_s : float
        Bolus arrival after the large arteries, seconds.
    blood : bool
        A large vessel: whole blood, its own T2* relaxivity.
    fat : bool
        Suppressed in EPI and FLAIR.
    """

    name: str
    pd: float = 0.0
    t1_s: float = 1.0
    t2_s: float = 0.05
    t2s_s: float = 0.03
    adc: float = 0.0
    suv: float = 0.0
    hu: float = -1000.0
    vp: float = 0.0
    mtt_s: float = 4.0
    ktrans_per_min: float = 0.0
    ve: float = 0.2
    delay_s: float = 0.0
    blood: bool = False
    fat: bool = False

    @property
    def cbf(self):
        """Blood flow, mL/100 mL/min."""
        return 6000.0 * self.vp / (1.0 - HAEMATOCRIT_CAPILLARY) / self.mtt_s if self.vp else 0.0


_WM = Tissue("wm", 0.70, 0.90, 0.070, 0.053, 760, 1.0, 30, VP_NAWM, 5.5, 0.0004, 0.15)
_GM = Tissue("gm", 0.82, 1.45, 0.088, 0.057, 860, 1.2, 39, 2.2 * VP_NAWM, 4.2, 0.0006, 0.15)
_BLOOD = Tissue("blood", 0.85, 1.65, 0.10, 0.045, 1200, 1.6, 48, 1.0 - HAEMATOCRIT, blood=True)

TISSUES = {
    t.name: t
    for t in (
        replace(_GM, name="gm_early", delay_s=0.5),
        replace(_GM, name="gm_late", delay_s=2.5),
        replace(_WM, name="wm_early", delay_s=1.0),
        replace(_WM, name="wm_late", delay_s=3.0),
        Tissue("csf", 1.00, 4.00, 1.20, 0.50, 3000, 0.2, 8),
        replace(_BLOOD, name="artery", t2s_s=0.05),
        replace(_BLOOD, name="vein", t2s_s=0.022, mtt_s=3.0, delay_s=2.5),
        Tissue("choroid", 0.90, 1.60, 0.12, 0.06, 1500, 1.3, 45, 0.06, 4.0, 0.20, 0.3, 1.0),
        Tissue("dura", 0.55, 1.20, 0.05, 0.02, 900, 1.2, 70, 0.03, 5.0, 0.08, 0.25, 2.0),
        Tissue("fat", 0.90, 0.38, 0.07, 0.03, 50, 0.2, -95, 0.004, 6.0, 0.01, 0.1, 3.0, fat=True),
        Tissue("muscle", 0.75, 1.25, 0.038, 0.025, 1300, 0.9, 55, 0.015, 6.0, 0.08, 0.12, 3.0),
        Tissue("marrow", 0.45, 0.55, 0.045, 0.008, 200, 0.6, 480, 0.01, 6.0, 0.02, 0.15, 3.0, fat=True),
        Tissue("bone", 0.08, 0.80, 0.001, 0.0008, 100, 0.3, 1350),
        Tissue("vitreous", 1.00, 3.80, 0.90, 0.40, 2900, 0.2, 10),
    )
}

# Brain tissues come as one fraction map, split by arrival time only where perfusion is simulated.
SPLIT = {"gm": ("gm_early", "gm_late"), "wm": ("wm_early", "wm_late")}


def static_tissue(name):
    """Tissue for images without time; the two arrival halves of brain tissue look the same."""
    return TISSUES[SPLIT.get(name, (name,))[0]]


def lesion_tissue(part, state):
    """Tissue of one part of a lesion.

    Parameters
    ----------
    part : {"high", "low", "core", "haemorrhage", "oedema"}
        "high" and "low" are the two ends of the enhancing part's own unevenness.
    state : LesionState

    Returns
    -------
    Tissue
    """
    if part in ("high", "low"):
        factor = 1.0 + (state.unevenness if part == "high" else -state.unevenness)
        return Tissue(
            part, 0.85, state.t1_s, 0.105, 0.065, state.adc, state.suv, 37,
            state.rcbv * VP_NAWM * factor, state.mtt_s,
            state.ktrans_per_min * factor, state.ve, state.delay_s,
        )  # fmt: skip
    return {
        "core": Tissue("core", 0.95, 2.40, 0.22, 0.15, state.core_adc, 0.7, 18, 0.002, 8.0, 0.004, 0.3, 3.0),
        "haemorrhage": Tissue(
            "haemorrhage", 0.85, 0.55, 0.06, 0.007, 700, 1.0, 62, 0.005, 6.0, 0.01, 0.2, 2.5
        ),
        "oedema": Tissue(
            "oedema", 0.80, 1.35, 0.125, 0.085, 1450, 1.1, 24, 0.8 * VP_NAWM, 6.5, 0.002, 0.25, 2.5
        ),
    }[part]
