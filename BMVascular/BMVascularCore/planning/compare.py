"""Two doses of one patient, structure by structure."""

from BMVascularCore.errors import InputError

#: Quantities compared, in order.
COMPARED = (
    "d98_gy", "d50_gy", "d2_gy", "dmean_gy", "v12_ml", "v10_ml", "v12_minus_gtv_ml", "coverage", "selectivity",
    "paddick_ci", "gradient_index",
)  # fmt: skip
COLUMNS = ("structure", "type", "quantity", "first", "second", "second_minus_first")


def compare_plans(first, second):
    """Difference of two reviews of the same structures.

    Parameters
    ----------
    first, second : PlanReview

    Returns
    -------
    list of dict
        Columns of :data:`COLUMNS`; the unit stands in the name of the quantity. A quantity that one of the plans
        does not have is left out.

    Raises
    ------
    InputError
        The reviews share no structure.
    """
    others = {row["structure"]: row for row in second.rows}
    if not any(row["structure"] in others for row in first.rows):
        raise InputError(
            "the two plans share no structure", "comparison", "Review both with one structure set."
        )
    rows = []
    for row in first.rows:
        other = others.get(row["structure"])
        for key in COMPARED if other is not None else ():
            a, b = row.get(key), other.get(key)
            if all(value is not None and value == value for value in (a, b)):
                rows.append(
                    {
                        "structure": row["structure"], "type": row["type"], "quantity": key,
                        "first": a, "second": b, "second_minus_first": b - a,
                    }
                )  # fmt: skip
    return rows
