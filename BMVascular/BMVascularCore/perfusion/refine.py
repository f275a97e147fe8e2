"""Bounded Levenberg-Marquardt for many small fits at once."""

import numpy as np

_MOST_STEPS = 60
_TOLERANCE = 1e-9


def refine(evaluate, data, start, lower, upper, rest=0.0, steps=_MOST_STEPS):
    """Refine many fits together.

    Bounds are part of the solve: a parameter at its bound with the gradient pointing outward is held
    for that step (active set), the others move; the step is cut back to the box.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(theta (v, p)) -> (model (v, t), jacobian (v, p, t))``.
    data : ndarray, shape (v, t)
    start : ndarray, shape (v, p)
    lower, upper : array_like, shape (p,)
    rest : ndarray, shape (v,), or float
        Residual sum of squares outside the space of the data given.
    steps : int

    Returns
    -------
    theta : ndarray, shape (v, p)
    rss : ndarray, shape (v,)
    normal : ndarray, shape (v, p, p)
        Jacobian products at the solution.
    """
    theta = np.clip(start, lower, upper)
    rest = np.broadcast_to(np.maximum(rest, 0.0), (len(data),))
    rss, gradient, normal = _quadratic(evaluate, data, theta)
    rss = rss + rest
    damping = np.full(len(data), 1e-3)
    active = np.arange(len(data))
    for _ in range(steps):
        step = _step(theta[active], gradient[active], normal[active], damping[active], lower, upper)
        trial = np.clip(theta[active] + step, lower, upper)
        new_rss, new_gradient, new_normal = _quadratic(evaluate, data[active], trial)
        new_rss = new_rss + rest[active]
        better = new_rss <= rss[active]
        scale = np.abs(theta[active]) + 1e-6
        small = (np.abs(trial - theta[active]) / scale).max(axis=1) < 1e-7
        flat = rss[active] - new_rss <= _TOLERANCE * rss[active]
        taken = active[better]
        theta[taken], rss[taken] = trial[better], new_rss[better]
        gradient[taken], normal[taken] = new_gradient[better], new_normal[better]
        damping[active] = np.where(better, damping[active] * 0.1, damping[active] * 8)
        done = (better & flat) | small | (damping[active] > 1e5)
        active = active[~done]
        if len(active) == 0:
            break
    return theta, rss, normal


def _quadratic(evaluate, data, theta):
    model, jacobian = evaluate(theta)
    residual = data - model
    rss = np.einsum("vt,vt->v", residual, residual)
    gradient = np.matmul(jacobian, residual[:, :, None])[:, :, 0]
    return rss, gradient, np.matmul(jacobian, jacobian.transpose(0, 2, 1))


def _step(theta, gradient, normal, damping, lower, upper):
    held = ((theta <= lower) & (gradient <= 0)) | ((theta >= upper) & (gradient >= 0))
    diagonal = np.sqrt(np.einsum("vpp->vp", normal))
    diagonal = np.where(diagonal > 0, diagonal, 1.0)
    matrix = normal / (diagonal[:, :, None] * diagonal[:, None, :])
    matrix = matrix * ~(held[:, :, None] | held[:, None, :])
    extra = damping[:, None] + np.where(held, 1.0, 1e-13)
    p = theta.shape[1]
    matrix[:, range(p), range(p)] += extra
    right = np.where(held, 0.0, gradient / diagonal)
    return np.linalg.solve(matrix, right[:, :, None])[:, :, 0] / diagonal
