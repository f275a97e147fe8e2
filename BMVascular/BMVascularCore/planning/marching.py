"""Marching squares on a stack of slices: closed, oriented level lines."""

import numpy as np

# corner bits: 1 = (r, c), 2 = (r, c+1), 4 = (r+1, c+1), 8 = (r+1, c)
# cell edges: 0 top, 1 right, 2 bottom, 3 left. Directed so that the inside has positive area.
_SEGMENTS = {
    1: ((0, 3),),
    2: ((1, 0),),
    3: ((1, 3),),
    4: ((2, 1),),
    6: ((2, 0),),
    7: ((2, 3),),
    8: ((3, 2),),
    9: ((0, 2),),
    11: ((1, 2),),
    12: ((3, 1),),
    13: ((0, 1),),
    14: ((3, 0),),
}
_SADDLE_APART = {5: ((0, 3), (2, 1)), 10: ((1, 0), (3, 2))}
_SADDLE_JOINED = {5: ((0, 1), (2, 3)), 10: ((3, 0), (1, 2))}
# crossings are kept off the grid points so that no two of them coincide
_CORNER_GUARD = 1e-3


def level_segments(stack, level):
    """Directed level-line segments of every slice.

    Parameters
    ----------
    stack : ndarray, shape (k, r, c)
        The border must be below the level, else lines stay open.
    level : float

    Returns
    -------
    slices : ndarray of int, shape (n,)
    ids : ndarray of int, shape (n, 2)
        Number of the grid edge on which a segment starts and ends: what chains them.
    points : ndarray, shape (n, 2, 2)
        Start and end as (row, column), fractional.
    """
    inside = stack > level
    code = inside[:, :-1, :-1] + 2 * inside[:, :-1, 1:] + 4 * inside[:, 1:, 1:] + 8 * inside[:, 1:, :-1]
    cells = np.argwhere((code > 0) & (code < 15))
    codes = code[tuple(cells.T)]
    parts = []
    for case, segments in _SEGMENTS.items():
        chosen = cells[codes == case]
        parts += [(chosen, segment) for segment in segments if len(chosen)]
    for case in (5, 10):
        chosen = cells[codes == case]
        joined = _centre(stack, chosen) > level
        parts += [(chosen[joined], segment) for segment in _SADDLE_JOINED[case]]
        parts += [(chosen[~joined], segment) for segment in _SADDLE_APART[case]]
    if not parts:
        return np.zeros(0, int), np.zeros((0, 2), int), np.zeros((0, 2, 2))
    slices = np.concatenate([cells[:, 0] for cells, _ in parts])
    ends = [[_crossing(stack, level, cells, segment[side]) for cells, segment in parts] for side in (0, 1)]
    ids = np.stack([np.concatenate([i for i, _ in side]) for side in ends], axis=1)
    points = np.stack([np.concatenate([p for _, p in side]) for side in ends], axis=1)
    return slices, ids, points


def _centre(stack, cells):
    k, r, c = cells.T
    return 0.25 * (stack[k, r, c] + stack[k, r, c + 1] + stack[k, r + 1, c] + stack[k, r + 1, c + 1])


def _crossing(stack, level, cells, edge):
    """Edge number and (row, column) of the crossing on one edge of every cell."""
    k, r, c = cells.T
    r = r + (edge == 2)
    c = c + (edge == 1)
    across = edge in (0, 2)
    here = stack[k, r, c]
    there = stack[k, r, c + 1] if across else stack[k, r + 1, c]
    share = np.clip((level - here) / (there - here), _CORNER_GUARD, 1 - _CORNER_GUARD)
    number = 2 * np.ravel_multi_index((k, r, c), stack.shape) + (0 if across else 1)
    points = np.stack([r + (0 if across else share), c + (share if across else 0)], axis=1)
    return number, points.astype(float)


def enclosed_area(stack, level):
    """Area inside the level lines of all slices together, in pixels (Gauss's formula)."""
    _, _, points = level_segments(stack, level)
    (y0, x0), (y1, x1) = points[:, 0].T, points[:, 1].T
    return 0.5 * float(np.sum(x0 * y1 - x1 * y0))


def level_lines(stack, level):
    """Closed level lines.

    Returns
    -------
    list of (int, ndarray)
        Slice and polygon (n, 2) as (row, column); the last point is not the first one again.
        Positive :func:`signed_area` for an outer line, negative for a hole.
    """
    slices, ids, points = level_segments(stack, level)
    order = np.argsort(ids[:, 0])
    following = order[np.searchsorted(ids[order, 0], ids[:, 1])]
    left = np.ones(len(slices), bool)
    lines = []
    for start in range(len(slices)):
        if not left[start]:
            continue
        chain, at = [], start
        while left[at]:
            left[at] = False
            chain.append(at)
            at = following[at]
        lines.append((int(slices[start]), points[chain, 0]))
    return lines


def signed_area(polygon):
    """Area of a closed polygon (n, 2) given as (row, column); negative when it turns the other way."""
    y, x = np.asarray(polygon, float).T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
