"""Choice between models by the corrected Akaike criterion."""

import numpy as np


def aicc(rss, n_points, n_parameters):
    """``n ln(RSS/n) + 2k + 2k(k+1)/(n-k-1)`` with the noise counted as one of the k parameters.

    Parameters
    ----------
    rss : ndarray
    n_points : int
    n_parameters : int
        Of the model, without the noise.

    Returns
    -------
    ndarray
        Infinite where there are too few points.
    """
    k = n_parameters + 1
    if n_points <= k + 1:
        return np.full(np.shape(rss), np.inf)
    tiny = np.finfo(float).tiny
    return n_points * np.log(np.maximum(rss, tiny) / n_points) + 2 * k + 2 * k * (k + 1) / (n_points - k - 1)


def choose(rss_by_model, n_points, n_parameters):
    """Model with the smallest AICc for every voxel.

    Parameters
    ----------
    rss_by_model : dict of ndarray, shape (v,)
        Simplest first: it wins a tie.
    n_points : int
    n_parameters : dict
        Name to number of parameters.

    Returns
    -------
    ndarray of int, shape (v,)
        Position in ``rss_by_model``.
    """
    scores = [aicc(rss, n_points, n_parameters[name]) for name, rss in rss_by_model.items()]
    return np.argmin(np.stack(scores), axis=0)
