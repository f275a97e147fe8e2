"""Volumes, transforms and label maps: every point of an oblique image stays where it is."""

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from lib_results import grid, perfusion_transform

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Geometry, Volume, ras_lps, resample
from BMVascularLib.transforms import addTransform, placeBelow, readTransform, transformOfNode
from BMVascularLib.volumes import addVolume, geometryOfNode, updateVolumeNode, volumeOfNode

OBLIQUE = grid((0.9, 1.1, 2.5), (36, 44, 50), (20, -12, 33), (7, -9, 21), (1, -1, 1))


def volume(dtype=np.float32, geometry=OBLIQUE):
    rng = np.random.default_rng(3)
    return Volume((rng.random(geometry.shape) * 100).astype(dtype), geometry, "image")


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, np.int32, np.uint16])
def test_round_trip_keeps_values_and_place(scene, dtype):
    original = volume(dtype)
    back = volumeOfNode(addVolume(scene, original))
    assert back.array.dtype == dtype
    np.testing.assert_array_equal(back.array, original.array)
    assert back.geometry.matches(original.geometry, tolerance_mm=1e-6)


def test_a_voxel_lies_in_mrml_where_itk_puts_it(scene):
    node = addVolume(scene, volume())
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    i, j, k = 3, 17, 9
    x, y, z = volume().to_sitk().TransformIndexToPhysicalPoint((i, j, k))
    np.testing.assert_allclose(matrix.MultiplyPoint((i, j, k, 1))[:3], (-x, -y, z), atol=1e-6)


def test_mrml_array_is_ordered_i_fastest(scene):
    original = volume()
    node = addVolume(scene, original)
    assert node.GetImageData().GetScalarComponentAsDouble(3, 17, 9, 0) == original.array[9, 17, 3]


def test_booleans_become_a_label_map(scene):
    node = addVolume(scene, Volume(volume().array > 50, OBLIQUE), "mask", labelMap=True)
    assert node.IsA("vtkMRMLLabelMapVolumeNode")
    assert set(np.unique(volumeOfNode(node).array)) == {0, 1}


def test_shared_array_follows_the_node_and_a_copy_does_not(scene):
    node = addVolume(scene, volume())
    shared, copy = volumeOfNode(node, copy=False), volumeOfNode(node)
    updateVolumeNode(node, volume().like(volume().array * 2))
    assert volumeOfNode(node).array.max() > copy.array.max()
    assert shared.array.shape == copy.array.shape


def test_parent_transforms_count_in_the_world_and_not_locally(scene):
    node = addVolume(scene, volume())
    transform = addTransform(scene, perfusion_transform(0), "moved")
    placeBelow(node, transform)
    assert geometryOfNode(node, world=False).matches(OBLIQUE, 1e-6)
    moved = geometryOfNode(node)
    # the transform maps fixed to moving points: the inverse takes a voxel into the fixed space
    expected = perfusion_transform(0).GetInverse().TransformPoint(OBLIQUE.points_of((4, 5, 6)).tolist())
    np.testing.assert_allclose(moved.points_of((4, 5, 6)), expected, atol=1e-6)


def test_a_shear_above_a_volume_is_refused(scene):
    node = addVolume(scene, volume())
    shear = sitk.AffineTransform(3)
    shear.SetMatrix((1, 0.2, 0, 0, 1, 0, 0, 0, 1))
    placeBelow(node, addTransform(scene, shear, "shear"))
    with pytest.raises(InputError, match="right angles"):
        volumeOfNode(node)


def test_an_empty_node_is_refused(scene):
    with pytest.raises(InputError, match="holds no image"):
        volumeOfNode(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"))


def test_a_ball_is_seen_through_the_transform_where_resampling_puts_it(scene):
    """Direction of the transform: world position of a bright ball against ITK's resampling."""
    fixedGrid = grid((1.5, 1.5, 1.5), (80, 80, 80), (10, 0, 0))
    transform = perfusion_transform(0)
    ball = np.array([12.0, -9.0, 7.0])
    movingGrid = grid((2, 2, 2), (100, 100, 100), (0, 15, 0))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in movingGrid.shape], indexing="ij"), -1)
    distance = np.linalg.norm(movingGrid.points_of(index) - transform.TransformPoint(ball.tolist()), axis=-1)
    moving = Volume(np.exp(-((distance / 4) ** 2)).astype(np.float32), movingGrid)
    node = addVolume(scene, moving)
    placeBelow(node, addTransform(scene, transform, "registration"))
    inWorld = volumeOfNode(node)

    def centroid(image):
        where = np.argwhere(image.array > 0.5)
        return image.geometry.points_of(np.average(where, axis=0, weights=image.array[tuple(where.T)]))

    np.testing.assert_allclose(centroid(inWorld), ball, atol=0.3)
    np.testing.assert_allclose(centroid(resample(moving, fixedGrid, transform)), ball, atol=0.3)


def test_transform_file_to_node_and_back(scene, tmp_path):
    original = perfusion_transform(1)
    sitk.WriteTransform(original, str(tmp_path / "t.tfm"))
    node = addTransform(scene, readTransform(tmp_path / "t.tfm"), "t")
    back = transformOfNode(node)
    for point in np.random.default_rng(0).normal(0, 60, (5, 3)):
        np.testing.assert_allclose(
            back.TransformPoint(point.tolist()), original.TransformPoint(point.tolist()), atol=1e-5
        )
    world = [0.0, 0.0, 0.0]
    node.GetTransformToParent().TransformPoint((10.0, 20.0, 30.0), world)
    expected = ras_lps(original.GetInverse().TransformPoint(ras_lps((10.0, 20.0, 30.0)).tolist()))
    np.testing.assert_allclose(world, expected, atol=1e-5)


def test_a_transform_names_its_fixed_and_moving_node(scene):
    fixed, moving = addVolume(scene, volume(), "fixed"), addVolume(scene, volume(), "moving")
    node = addTransform(scene, perfusion_transform(0), "t")
    placeBelow(moving, node, fixed)
    assert node.GetNodeReference(node.GetFixedNodeReferenceRole()) is fixed
    assert node.GetNodeReference(node.GetMovingNodeReferenceRole()) is moving


def test_a_warp_is_refused(scene):
    with pytest.raises(InputError, match="warp"):
        addTransform(scene, sitk.DisplacementFieldTransform(3), "warp")


def test_a_missing_or_damaged_transform_file_is_refused(tmp_path):
    with pytest.raises(InputError):
        readTransform(tmp_path / "none.tfm")
    (tmp_path / "bad.tfm").write_text("not a transform")
    with pytest.raises(InputError, match="ITK transform"):
        readTransform(tmp_path / "bad.tfm")


def test_identity_geometry_is_flipped_to_ras(scene):
    geometry = Geometry((2, 3, 4), origin_mm=(5.0, 6.0, 7.0))
    node = addVolume(scene, Volume(np.zeros((2, 3, 4), np.float32), geometry))
    assert node.GetOrigin() == (-5.0, -6.0, 7.0)
