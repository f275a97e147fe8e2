"""Biologically effective dose and the equivalent dose in 2 Gy fractions (linear-quadratic model)."""

from BMVascularCore.errors import InputError

TUMOUR_ALPHA_BETA_GY, BRAIN_ALPHA_BETA_GY = 10.0, 2.0
CAUTION = "the linear-quadratic model over-predicts above about 10 Gy a fraction"


def bed_gy(total_dose_gy, fractions, alpha_beta_gy):
    """Biologically effective dose: D (1 + d / (alpha/beta)), Gy.

    Raises
    ------
    InputError
        Dose, fractions or alpha/beta not above zero.
    """
    if total_dose_gy < 0 or fractions < 1 or alpha_beta_gy <= 0:
        raise InputError(
            f"{total_dose_gy:g} Gy in {fractions} fractions with alpha/beta {alpha_beta_gy:g} Gy cannot be",
            "--fractions",
            "Give a dose in Gy and at least one fraction.",
        )
    return total_dose_gy * (1.0 + total_dose_gy / fractions / alpha_beta_gy)


def eqd2_gy(total_dose_gy, fractions, alpha_beta_gy):
    """Equivalent dose in 2 Gy fractions: BED / (1 + 2 / (alpha/beta)), Gy."""
    return bed_gy(total_dose_gy, fractions, alpha_beta_gy) / (1.0 + 2.0 / alpha_beta_gy)


def bed_table(total_dose_gy, fractions):
    """BED and EQD2 for tumour (10 Gy) and brain (2 Gy), with the caution that belongs to them."""
    table = {"fractions": fractions, "total_dose_gy": total_dose_gy}
    for alpha_beta in (TUMOUR_ALPHA_BETA_GY, BRAIN_ALPHA_BETA_GY):
        table[f"bed{alpha_beta:g}_gy"] = bed_gy(total_dose_gy, fractions, alpha_beta)
        table[f"eqd2_{alpha_beta:g}_gy"] = eqd2_gy(total_dose_gy, fractions, alpha_beta)
    if total_dose_gy / fractions > 10.0:
        table["caution"] = CAUTION
    return table
