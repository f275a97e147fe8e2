"""Rule stability: how often the label survives the doubt in inputs, limits and weights.

One Monte Carlo run serves all lesions of a scan. Random streams belong to names (input, group,
lesion), never to positions in a list, so that the order of lesions and inputs cannot matter.
"""

import zlib

import numpy as np

from BMVascularCore.phenotype.score import LABELS, combine, decide, score


def stream(seed, *keys):
    """Random generator that belongs to a set of names.

    Parameters
    ----------
    seed : int
    *keys : str

    Returns
    -------
    numpy.random.Generator
    """
    return np.random.default_rng([int(seed), *(zlib.crc32(str(key).encode("utf-8")) for key in keys)])


def log_sd(rel_sd):
    """Standard deviation of the logarithm of a log-normal quantity with a coefficient of variation."""
    return np.sqrt(np.log1p(np.square(rel_sd)))


class Draws:
    """Random numbers of one scan.

    Parameters
    ----------
    settings : dict
        ``monte_carlo`` of the rule set.
    """

    def __init__(self, settings):
        self._settings = settings
        self._cache = {}

    def normal(self, *keys):
        """Standard normal draws of these names, shape (draws,); the same object on every call."""
        if keys not in self._cache:
            self._cache[keys] = self._fresh(*keys)
        return self._cache[keys]

    def _fresh(self, *keys):
        generator = stream(self._settings["seed"], *keys)
        return generator.standard_normal(self._settings["draws"], dtype=np.float32)

    def values(self, spec, lesion_keys, values, rel_sd):
        """Draws of one input for several lesions, shape (lesions, draws).

        The part of the variance that stems from a common normaliser (white matter, arterial input,
        PET background) is one draw for the whole scan.
        """
        own = np.stack([self._fresh("own", spec["id"], key) for key in lesion_keys])
        if spec["shared"]:
            part = self._settings["shared_variance"]
            own = np.sqrt(part) * self.normal("shared", spec["shared"]) + np.sqrt(1.0 - part) * own
        return np.asarray(values)[:, None] * np.exp(log_sd(np.asarray(rel_sd))[:, None] * own)

    def limits(self, spec, ramp):
        """Jittered limits, shapes (lesions, draws): both limits of an input move together.

        An index that is 0..1 by construction keeps its ends (``jitter`` false in the rule set).
        """
        log_sd_limit = self._settings["threshold_log_sd"] if spec.get("jitter", True) else 0.0
        jitter = np.exp(log_sd_limit * self.normal("limit", spec["id"]))
        factor = np.asarray(ramp)[:, None] * jitter
        return spec["lo"] * factor, spec["hi"] * factor

    def weight(self, group):
        """Jittered weight of a group, shape (draws,)."""
        return group["weight"] * np.exp(self._settings["weight_log_sd"] * self.normal("weight", group["id"]))


def label_shares(lesions, rules, progress):
    """Share of the draws that gives each label.

    Parameters
    ----------
    lesions : list of dict
        ``key`` (str) and ``inputs``: input id to ``(value, rel_sd, trust, ramp)``.
    rules : dict
        The rule set.
    progress : callable

    Returns
    -------
    ndarray, shape (lesions, labels)
        In the order of :data:`BMVascularCore.phenotype.score.LABELS`.
    """
    codes = label_draws(lesions, rules, progress)
    return np.stack([(codes == code).mean(axis=1) for code in range(len(LABELS))], axis=1)


def label_draws(lesions, rules, progress, block=64):
    """Label code of every draw, shape (lesions, draws); see :func:`label_shares`."""
    draws = Draws(rules["monte_carlo"])
    codes = []
    for start in range(0, len(lesions), block):
        progress(start / max(len(lesions), 1), "rule stability")
        codes.append(_codes(lesions[start : start + block], rules, draws))
    return np.concatenate(codes) if codes else np.zeros((0, rules["monte_carlo"]["draws"]), int)


def _codes(lesions, rules, draws):
    weights, scores = [], []
    for group in rules["groups"]:
        group_score, trust = _group_draws(lesions, group, rules, draws)
        weights.append(trust[:, None] * draws.weight(group))
        scores.append(group_score)
    e, p, n = combine(np.stack(weights), np.stack(scores))
    return decide(e, p, n, rules["decision"])


def _group_draws(lesions, group, rules, draws):
    total = np.zeros((len(lesions), rules["monte_carlo"]["draws"]))
    weight, best = np.zeros(len(lesions)), np.zeros(len(lesions))
    for spec in rules["inputs"]:
        rows = [row for row, lesion in enumerate(lesions) if spec["id"] in lesion["inputs"]]
        if spec["group"] != group["id"] or not rows:
            continue
        value, rel_sd, trust, ramp = (
            np.array(column, dtype=float)
            for column in zip(*(lesions[row]["inputs"][spec["id"]] for row in rows), strict=True)
        )
        drawn = draws.values(spec, [lesions[row]["key"] for row in rows], value, rel_sd)
        lo, hi = draws.limits(spec, ramp)
        total[rows] += trust[:, None] * score(drawn, lo, hi, spec["scale"] == "log", spec["one_sided"])
        weight[rows] += trust
        best[rows] = np.maximum(best[rows], trust)
    return total / np.where(weight > 0, weight, 1.0)[:, None], best
