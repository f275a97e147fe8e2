"""Ways to get from one click to a lesion, compared on synthetic heads.

Run: PYTHONPATH=BMVascular:Testing/Python python Testing/Benchmarks/bench_lesions.py

Every method gets the same click, drawn at random inside the lesion, and the same image within 24 mm
of it. Peers are the SimpleITK filters with their thresholds set from the same local intensities.
"""

import time

import numpy as np
import SimpleITK as sitk
from lesion_heads import Shape, dice, grid, make_head
from scipy import ndimage

from BMVascularCore.lesions import Seed, prepare, segment_one

try:
    from skimage import segmentation
except ImportError:
    segmentation = None

REACH = 24


def cut(image, index):
    box = tuple(slice(max(0, i - REACH), i + REACH + 1) for i in index)
    part = np.ascontiguousarray(image[box])
    return box, part, [int(i - b.start) for i, b in zip(index, box, strict=True)]


def levels(part, at):
    """Background mode and the brightness at the click."""
    tissue = part[(part > 0.4 * np.median(part)) & (part < 1.7 * np.median(part))]
    counts, edges = np.histogram(tissue, 64)
    near = part[tuple(slice(max(0, a - 1), a + 2) for a in at)]
    return float(edges[np.argmax(ndimage.gaussian_filter1d(counts.astype(float), 3))]), float(near.mean())


def half_height_growing(part, at):
    low, high = levels(part, at)
    seed = [tuple(int(a) for a in at[::-1])]
    out = sitk.ConnectedThreshold(sitk.GetImageFromArray(part), seed, (low + high) / 2, 1e9)
    return sitk.GetArrayFromImage(out) > 0


def confidence_growing(part, at):
    seed = [tuple(int(a) for a in at[::-1])]
    out = sitk.ConfidenceConnected(sitk.GetImageFromArray(part), seed, 4, 2.5, 1, 1)
    return sitk.GetArrayFromImage(out) > 0


def fast_marching(part, at):
    image = sitk.GetImageFromArray(part)
    edges = sitk.GradientMagnitudeRecursiveGaussian(image, 0.7)
    view = sitk.GetArrayViewFromImage(edges)
    middle = float(np.percentile(view, 90))
    speed = sitk.Sigmoid(edges, -0.2 * middle, 0.5 * middle, 1.0, 0.0)
    march = sitk.FastMarchingImageFilter()
    march.SetTrialPoints([[int(a) for a in at[::-1]]])
    march.SetStoppingValue(60.0)
    return sitk.GetArrayFromImage(march.Execute(speed)) < 40.0


def level_set(part, at):
    """Geodesic active contour from a small ball."""
    image = sitk.GetImageFromArray(part)
    edges = sitk.GradientMagnitudeRecursiveGaussian(image, 0.7)
    middle = float(np.percentile(sitk.GetArrayViewFromImage(edges), 90))
    speed = sitk.Sigmoid(edges, -0.2 * middle, 0.5 * middle, 1.0, 0.0)
    axes = np.ogrid[tuple(slice(0, n) for n in part.shape)]
    ball = np.sqrt(sum((a - b) ** 2 for a, b in zip(axes, at, strict=True))) - 1.5
    start = sitk.GetImageFromArray(ball.astype(np.float32))
    out = sitk.GeodesicActiveContourLevelSet(start, speed, 0.01, 1.0, 0.2, 1.0, 250)
    return sitk.GetArrayFromImage(out) < 0


def marker_watershed(part, at):
    """Competition of the click against the background (0.3 of the way up) on the gradient."""
    low, high = levels(part, at)
    markers = np.where(part < low + 0.3 * (high - low), 2, 0).astype(np.uint8)
    markers[tuple(slice(max(0, a - 1), a + 2) for a in at)] = 1
    edges = sitk.GradientMagnitudeRecursiveGaussian(sitk.GetImageFromArray(part), 0.6)
    out = sitk.MorphologicalWatershedFromMarkers(edges, sitk.GetImageFromArray(markers), False)
    return sitk.GetArrayFromImage(out) == 1


def random_walker(part, at):
    """Dirichlet problem with the click and the background as boundary, by conjugate gradients."""
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import cg

    part = part[::1]
    low, high = levels(part, at)
    fixed = np.full(part.shape, -1)
    fixed[part < low + 0.25 * (high - low)] = 0
    fixed[tuple(slice(max(0, a - 1), a + 2) for a in at)] = 1
    number = np.arange(part.size).reshape(part.shape)
    rows, columns, weights = [], [], []
    for axis in range(3):
        a, b = np.moveaxis(number, axis, 0)[:-1].ravel(), np.moveaxis(number, axis, 0)[1:].ravel()
        step = (part.ravel()[a] - part.ravel()[b]) / max(high - low, 1e-6)
        weight = np.exp(-30 * step**2) + 1e-4
        rows += [a, b]
        columns += [b, a]
        weights += [weight, weight]
    graph = coo_matrix(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(part.size,) * 2
    ).tocsr()
    laplace = diags(np.asarray(graph.sum(1)).ravel()) - graph
    free = np.flatnonzero(fixed.ravel() < 0)
    known = np.flatnonzero(fixed.ravel() == 1)
    right = -laplace[free][:, known].sum(1)
    answer, _ = cg(laplace[free][:, free], np.asarray(right).ravel(), rtol=1e-3, maxiter=300)
    out = fixed.ravel() == 1
    out[free] = answer > 0.5
    return out.reshape(part.shape)


def skimage_random_walker(part, at):
    """scikit-image's random walker with the same markers (skipped where it is not installed)."""
    low, high = levels(part, at)
    markers = np.where(part < low + 0.25 * (high - low), 2, 0).astype(np.int8)
    markers[tuple(slice(max(0, a - 1), a + 2) for a in at)] = 1
    scaled = (part - low) / max(high - low, 1e-6)
    return segmentation.random_walker(scaled, markers, beta=100, mode="cg_j", tol=1e-3) == 1


def morphological_snake(part, at):
    """scikit-image's Chan-Vese snake (region competition) from a small ball."""
    axes = np.ogrid[tuple(slice(0, n) for n in part.shape)]
    ball = sum((a - b) ** 2 for a, b in zip(axes, at, strict=True)) <= 4
    found = segmentation.morphological_chan_vese(part, 40, ball.astype(np.int8), smoothing=1) > 0
    pieces, _ = ndimage.label(found)
    return pieces == pieces[tuple(at)] if pieces[tuple(at)] else ball


PEERS = (half_height_growing, confidence_growing, fast_marching, level_set, marker_watershed, random_walker)
if segmentation is not None:
    PEERS += (skimage_random_walker, morphological_snake)


def heads():
    places = [(-26, -12, 14), (26, 18, 6), (22, -26, 8), (-22, 24, -8)]
    geometry = grid((100, 130, 116), (1, 1, 1))
    for name, extra in (("solid", {}), ("ring", {"core": 0.6}), ("faint", {"enhancement": 0.4})):
        shapes = [Shape(p, (r, 0.9 * r, r), **extra) for p, r in zip(places, (2.2, 4, 7, 10), strict=True)]
        yield name, make_head(shapes, geometry, seed=3, head_mm=(55, 62, 48))


def main(draws=3):
    print(
        f"{'head':8}{'diameter':>9} {'method':22}{'Dice mean':>10}{'min':>7}{'leaks':>7}{'SD vol':>8}{'s':>7}"
    )
    for name, head in heads():
        ready = prepare(head.t1c)
        for number, shape in enumerate(head.shapes, start=1):
            truth = head.truth == number
            places = np.argwhere(truth)
            picked = places[np.random.default_rng(1).choice(len(places), draws)]
            for method in (*PEERS, None):
                show(name, shape, method, ready, truth, picked)


def show(name, shape, method, ready, truth, picked):
    scores, sizes, started = [], [], time.perf_counter()
    for index in picked:
        mask = np.zeros(truth.shape, dtype=bool)
        if method is None:
            seed = Seed("a", tuple(ready.t1c.geometry.points_of(index)))
            lesion = segment_one(ready, "a", 1, [seed])
            if not isinstance(lesion, str):
                mask[lesion.window] = lesion.fraction >= 0.5
        else:
            box, part, at = cut(ready.t1c.array, index)
            mask[box] = method(part, at)
        scores.append(dice(mask, truth))
        sizes.append(mask.sum())
    seconds = (time.perf_counter() - started) / len(picked)
    label = "BMVascular" if method is None else method.__name__
    spread = np.std(sizes) / max(1, np.mean(sizes))
    leaks = sum(size > 2 * truth.sum() for size in sizes)
    print(
        f"{name:8}{2 * shape.radii_mm[0]:6.1f} mm {label:22}{np.mean(scores):10.2f}{min(scores):7.2f}"
        f"{leaks:7d}{spread:8.0%}{seconds:7.2f}"
    )


if __name__ == "__main__":
    main()
