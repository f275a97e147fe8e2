"""The simulated patient's lesions, treatments and calendar.

Each lesion is written as its state at the first and at the second time point. Values stand clearly on
one side of the decision limits of the phenotype rules, except for lesion M11, which stands on them.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class LesionState:
    """One lesion at one time point.

    Attributes
    ----------
    diameter_mm : float
        Of the sphere with the same volume.
    rcbv : float
        Blood volume of the enhancing part relative to normal-appearing white matter.
    ktrans_per_min, ve : float
    oedema_mm : float
        Mean reach of the oedema beyond the lesion; 0 for none.
    core : float
        Radius of the necrotic core relative to the lesion's; 0 for a solid lesion.
    haemorrhage : float
        Radius of the blood pool relative to the lesion's; 0 for none.
    irregularity : float
        Fine ripples of the surface relative to the radius.
    suv, t1_s, adc, core_adc, mtt_s, delay_s
        As in :class:`BMVascularCore.phantom.tissue.Tissue`.
    unevenness : float
        rCBV and Ktrans vary by this share within the enhancing part.
    phenotype : str
        Expected answer of the phenotype rules.
    near_limit : bool
        The rules may well answer otherwise: inputs at their limits, or a lesion below the size gate.
    """

    diameter_mm: float
    rcbv: float
    ktrans_per_min: float
    ve: float
    oedema_mm: float
    core: float = 0.0
    haemorrhage: float = 0.0
    irregularity: float = 0.02
    suv: float = 2.8
    t1_s: float = 1.45
    adc: float = 950.0
    core_adc: float = 1900.0
    mtt_s: float = 4.5
    delay_s: float = 1.2
    unevenness: float = 0.15
    phenotype: str = "angiogenic-dominant"
    near_limit: bool = False


@dataclass(frozen=True)
class LesionCase:
    """One lesion through time.

    Attributes
    ----------
    name : str
    place_ras_mm : tuple
        Wanted place in ICBM152 space; the lesion goes to a grey-white junction near it.
    states : tuple of LesionState or None
        One for each time point; None where the lesion is absent.
    character : str
        What it stands for.
    """

    name: str
    place_ras_mm: tuple
    states: tuple
    character: str


ANGIOGENIC, CO_OPTION, MIXED = "angiogenic-dominant", "VCO-leaning", "mixed"
UNSURE, TREATED = "indeterminate", "not assessed: treatment effect possible"

_RING = LesionState(30, 4.5, 0.16, 0.35, 20, core=0.62)
_SOLID = LesionState(22, 4.0, 0.14, 0.32, 18)
_INFILTRATING = LesionState(17, 1.05, 0.013, 0.22, 2, irregularity=0.14, mtt_s=5.0, phenotype=CO_OPTION)
_MIXED = LesionState(13, 1.1, 0.15, 0.30, 10, irregularity=0.12, phenotype=MIXED)
_BLEEDING = LesionState(18, 3.4, 0.13, 0.30, 16, haemorrhage=0.58, phenotype=ANGIOGENIC)
_SMALL = LesionState(8, 3.2, 0.13, 0.30, 0, phenotype=UNSURE, near_limit=True)
_NECROSIS = LesionState(
    16, 0.8, 0.09, 0.40, 13, core=0.5, irregularity=0.10, suv=1.45, adc=1450, core_adc=1100, mtt_s=6.0,
    unevenness=0.2, phenotype=TREATED,
)  # fmt: skip
_TINY = LesionState(5, 3.0, 0.12, 0.30, 0, phenotype=UNSURE, near_limit=True)
_DOT = LesionState(3, 3.0, 0.12, 0.30, 0, phenotype=UNSURE, near_limit=True)
_SWITCH = LesionState(15, 3.8, 0.14, 0.30, 16)
_NEAR = LesionState(15, 1.95, 0.045, 0.28, 10, irregularity=0.05, phenotype=UNSURE, near_limit=True)

FULL = (
    LesionCase("M1", (30, 40, 22), (_RING, replace(_RING, diameter_mm=26, oedema_mm=17)), "ring with core"),
    LesionCase("M2", (-30, -58, 40), (_SOLID, replace(_SOLID, diameter_mm=25, oedema_mm=20)), "solid, grows"),
    LesionCase("M3", (34, -24, 50), (_INFILTRATING, _INFILTRATING), "infiltrating, preserved barrier"),
    LesionCase("M4", (-34, 10, 40), (_MIXED, _MIXED), "leaky with low blood volume, infiltrating"),
    LesionCase("M5", (-44, -22, -14), (_BLEEDING, replace(_BLEEDING, diameter_mm=17)), "haemorrhagic"),
    LesionCase("M6", (24, -66, -42), (_SMALL, _SMALL), "small, cerebellar, outside the perfusion slab"),
    LesionCase("M7", (34, -66, 20), (_NECROSIS, _NECROSIS), "irradiated, radiation-effect pattern"),
    LesionCase("M8", (-20, 54, 18), (_TINY, None), "5 mm, gone at the second time point"),
    LesionCase("M9", (44, 8, 30), (_DOT, replace(_TINY, diameter_mm=4.5)), "3 mm, growing"),
    LesionCase(
        "M10", (-34, 44, -4),
        (_SWITCH, replace(_INFILTRATING, diameter_mm=14, irregularity=0.08)),
        "angiogenic at first, VCO-leaning pattern later, without anti-VEGF drug",
    ),
    LesionCase("M11", (46, -28, -10), (_NEAR, _NEAR), "every input near its decision limit"),
    LesionCase("M12", (-20, -84, 16), (None, replace(_TINY, diameter_mm=6)), "new at the second time point"),
)  # fmt: skip

SMALL = (
    LesionCase("M1", (30, 40, 22), (_RING, replace(_RING, diameter_mm=26)), "ring, necrotic core"),
    LesionCase("M2", (34, -24, 50), (_INFILTRATING, None), "infiltrating, preserved barrier; gone later"),
    LesionCase(
        "M3", (-32, -50, 40), (_SWITCH, _INFILTRATING), "angiogenic at first, VCO-leaning pattern later"
    ),
    LesionCase("M4", (-34, 24, 30), (_MIXED, _MIXED), "leaky with low blood volume"),
    LesionCase("M5", (34, -66, 20), (_NECROSIS, _NECROSIS), "irradiated, radiation-effect pattern"),
    LesionCase("M6", (-20, 54, 18), (None, replace(_SMALL, diameter_mm=9)), "new at the second time point"),
)

# Days from the first time point.
DAYS = (0, 56)
IRRADIATED_DAY = -210
SYSTEMIC_START_DAY = 7
PRESCRIPTION_GY = 20.0


def context_of(cases, timepoint, dsc_flip_deg=30.0):
    """Clinical context of one time point, in plain values for JSON.

    Returns
    -------
    dict
        As :mod:`BMVascularCore.phenotype.context` describes it; days count from the first time point.
    """
    irradiated = [case.name for case in cases if case.states[0] and case.states[0].phenotype == TREATED]
    treatments = [
        {"type": "SRS", "lesions": irradiated, "day": IRRADIATED_DAY},
        {"type": "other", "day": SYSTEMIC_START_DAY},
    ]
    return {
        "histology": "lung adenocarcinoma",
        "molecular": ["EGFR"],
        "scan": {"day": DAYS[timepoint]},
        "treatments": [t for t in treatments if t["day"] <= DAYS[timepoint]],
        "protocol": {
            "preload": False,
            "leakage_correction": True,
            "flip_deg": dsc_flip_deg,
            "te_ms": 30.0,
            "field_t": 3.0,
        },
        "pet_tracer": "FET",
    }
