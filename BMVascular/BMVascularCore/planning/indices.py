"""Radiosurgery indices. Every one has one definition, printed beside it.

Sources: RTOG (Shaw 1993), Paddick 2000, Paddick and Lippitz 2006, ICRU 83 and 91, ILGKS 2014, Wagner 2003.
"""

import numpy as np

from BMVascularCore.planning.rules import planning_rules

DEFINITIONS = {
    "volume_ml": "volume of the structure (mL)",
    "d98_gy": "near-minimum: dose that 98 % of the volume receives at least (ICRU 91)",
    "d50_gy": "median dose (ICRU 91)",
    "d2_gy": "near-maximum: dose that the hottest 2 % receive at least (ICRU 91, targets of 2 mL and more)",
    "d35mm3_gy": "dose that the hottest 35 mm3 (0.035 mL) receive at least (ICRU 91, below 2 mL)",
    "near_max_gy": "d2_gy from 2 mL, d35mm3_gy below (ICRU 91); empty where the target is below 35 mm3",
    "dmean_gy": "mean dose",
    "dmin_gy": "smallest dose at samples and on the surface",
    "dmax_gy": "largest dose at samples and on the surface",
    "v12_ml": "targets: all tissue at 12 Gy or more nearest to this lesion, target included; "
    "other structures: volume of the structure at 12 Gy or more",
    "v10_ml": "as v12_ml, at 10 Gy",
    "v12_minus_gtv_ml": "volume of the brain at 12 Gy or more outside all GTVs",
    "v12_minus_targets_ml": "volume of the brain at 12 Gy or more outside all targets (GTV, CTV, PTV)",
    "piv_ml": "volume of the prescription isodose, everywhere, nearest to this lesion",
    "piv50_ml": "volume of the half-prescription isodose, everywhere, nearest to this lesion",
    "tv_piv_ml": "target volume that receives the prescription",
    "coverage": "tv_piv / target volume",
    "selectivity": "tv_piv / piv",
    "paddick_ci": "tv_piv^2 / (target volume x piv), ideal 1 (Paddick 2000)",
    "inverse_paddick_ci": "1 / paddick_ci (called CI by some systems)",
    "rtog_ci": "piv / target volume (Shaw 1993)",
    "rtog_hi": "maximum dose / prescription (Shaw 1993)",
    "rtog_quality": "minimum dose / prescription (Shaw 1993)",
    "gradient_index": "piv50 / piv (Paddick and Lippitz 2006)",
    "modified_gradient_index": "piv50 / target volume; R50 where the structure is the PTV (RTOG 0915)",
    "gradient_measure_mm": "radius of a sphere of piv50 minus radius of a sphere of piv (Wagner 2003)",
    "homogeneity_index": "(d2 - d98) / d50 (ICRU 83)",
}


def dose_metrics(dvh):
    """Dose at volume of one structure; NaN where it cannot be had.

    Returns
    -------
    dict
        Names as in :data:`DEFINITIONS`.
    """
    d98, d50, d2 = (dvh.dose_at_share(share) for share in (0.98, 0.50, 0.02))
    small = dvh.dose_at_mm3(35.0)
    from_d2 = dvh.total_mm3 / 1000.0 >= planning_rules()["report_d2_from_ml"]
    return {
        "d98_gy": d98,
        "d50_gy": d50,
        "d2_gy": d2,
        "dmean_gy": dvh.mean_gy,
        "dmin_gy": dvh.minimum_gy,
        "dmax_gy": dvh.maximum_gy,
        "d35mm3_gy": small,
        "near_max_gy": d2 if from_d2 else small,
        "homogeneity_index": (d2 - d98) / d50 if d50 and np.isfinite(d50) else float("nan"),
    }


def conformity_metrics(target_ml, tv_piv_ml, piv_ml, piv50_ml):
    """Conformity and gradient of one target.

    Parameters
    ----------
    target_ml, tv_piv_ml, piv_ml, piv50_ml : float
        Target volume, its part at the prescription or more, volume of the prescription
        isodose and of half of it, mL.

    Returns
    -------
    dict
        NaN where the prescription isodose does not exist.
    """
    ratio = _ratio
    paddick = ratio(tv_piv_ml**2, target_ml * piv_ml)
    return {
        "piv_ml": piv_ml,
        "piv50_ml": piv50_ml,
        "tv_piv_ml": tv_piv_ml,
        "coverage": ratio(tv_piv_ml, target_ml),
        "selectivity": ratio(tv_piv_ml, piv_ml),
        "paddick_ci": paddick,
        "inverse_paddick_ci": ratio(1.0, paddick),
        "rtog_ci": ratio(piv_ml, target_ml),
        "gradient_index": ratio(piv50_ml, piv_ml),
        "modified_gradient_index": ratio(piv50_ml, target_ml),
        "gradient_measure_mm": _radius_mm(piv50_ml) - _radius_mm(piv_ml) if piv_ml > 0 else float("nan"),
    }


def _ratio(above, below):
    return float(above / below) if below and np.isfinite(below) else float("nan")


def _radius_mm(volume_ml):
    return float(np.cbrt(3000.0 * volume_ml / (4.0 * np.pi)))
