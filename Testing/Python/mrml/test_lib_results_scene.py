"""The scene of a results folder: names, hierarchy, places, save and load."""

import json
import re
import zipfile

import numpy as np
import pytest
import vtk
from lib_results import LESIONS, perfusion_transform, planning_transform, write_results

from BMVascularCore.errors import InputError
from BMVascularCore.volume import ras_lps, resample
from BMVascularLib import display
from BMVascularLib.lesionShares import readShares
from BMVascularLib.resultsScene import SceneBuilder, phenotypeColor, readIndex
from BMVascularLib.scene import createWorld, subjectHierarchy
from BMVascularLib.sceneFiles import loadedScene, saveScene, showFirstTimepoint
from BMVascularLib.segments import segmentIds
from BMVascularLib.sequences import FILE_LIST
from BMVascularLib.surfaces import boundsOf, headMask
from BMVascularLib.volumes import volumeOfNode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("results"), n_lesions=3, spacing_mm=3.0)


@pytest.fixture(scope="module")
def built(folder):
    builder = SceneBuilder(folder)
    builder.addTimepoints()
    builder.addPlanning()
    return builder.result


@pytest.fixture(scope="module")
def saved(built, folder):
    scene = built.world.scene
    scene.GetFirstNodeByName("TP1 DSC sequence").SetAttribute(FILE_LIST, "/data/DOE_JOHN/1.dcm")
    showFirstTimepoint(built)
    saveScene(scene, folder / "scene.mrb")
    return folder / "scene.mrb"


def names(scene, className):
    found = scene.GetNodesByClass(className)
    return {found.GetItemAsObject(i).GetName() for i in range(found.GetNumberOfItems())}


def test_node_names(built):
    volumes = names(built.world.scene, "vtkMRMLScalarVolumeNode")
    assert {"TP1 T1c", "TP2 T1c", "TP1 Ktrans (1/min)", "TP2 rCBV (normalised) (ratio)"} <= volumes
    assert {"Planning CT", "Planning dose (Gy)", "TP1 habitats", "TP1 DSC"} <= volumes
    assert "TP2 lesions" in names(built.world.scene, "vtkMRMLSegmentationNode")


def test_lesions_keep_their_sub_voxel_boundary(built, saved):
    """For targets that are made in the scene; also after loading, below the transform into CT space."""
    with loadedScene(createWorld(), saved) as scene:
        for node in (built.timepoints[0].lesions, scene.GetFirstNodeByName("TP1 lesions")):
            for segmentId in segmentIds(node):
                mask, shares = readShares(node, segmentId)
                assert np.array_equal(shares.array > 0.5, mask.array) and mask.array.any()


def children(hierarchy, item):
    ids = vtk.vtkIdList()
    hierarchy.GetItemChildren(item, ids, False)
    found = [ids.GetId(n) for n in range(ids.GetNumberOfIds())]
    return {hierarchy.GetItemName(child): child for child in found}


def test_subject_hierarchy(built):
    hierarchy = subjectHierarchy(built.world.scene)
    patient = children(hierarchy, hierarchy.GetSceneItemID())
    assert list(patient) == ["Simulated patient"]
    studies = children(hierarchy, patient["Simulated patient"])
    assert list(studies) == ["TP1 (day 0)", "TP2 (day 84)", "Planning"]
    assert hierarchy.GetItemLevel(studies["Planning"]) == "Study"
    folders = children(hierarchy, studies["TP2 (day 84)"])
    assert list(folders) == ["Anatomy", "Perfusion", "Lesions"]
    assert "TP2 T1c" in children(hierarchy, folders["Anatomy"])
    assert "TP2 Ktrans (1/min)" in children(hierarchy, folders["Perfusion"])
    assert {"TP2 lesions", "TP2 habitats", "TP2 seeds"} <= set(children(hierarchy, folders["Lesions"]))
    assert {"Planning CT", "Planning dose (Gy)", "Planning targets"} <= set(
        children(hierarchy, studies["Planning"])
    )


def centroid(array, geometry):
    return ras_lps(geometry.points_of(np.argwhere(array).mean(axis=0)))


def test_maps_lie_over_the_lesions_of_their_time_point(built):
    """The hottest part of the Ktrans map of M1, in the world, is the ball that was drawn there."""
    second = built.timepoints[1]
    node = next(node for facts, node in second.maps if facts["role"] == "ktrans")
    volume = volumeOfNode(node)
    near = np.linalg.norm(
        ras_lps(volume.geometry.points_of(np.stack(np.indices(volume.array.shape), -1))) - LESIONS[0][1],
        axis=-1,
    )
    hot = (np.nan_to_num(volume.array) > 0.05) & (near < 25)
    np.testing.assert_allclose(centroid(hot, volume.geometry), LESIONS[0][1], atol=1.5)


def test_planning_moves_the_first_time_point_and_leaves_the_ct(built):
    planning = built.planning
    assert planning.ct.GetParentTransformNode() is None
    assert planning.targets.GetParentTransformNode() is None
    assert planning.dose.GetParentTransformNode() is None
    assert built.timepoints[1].t1c.GetParentTransformNode() is None
    world = [0.0, 0.0, 0.0]
    built.timepoints[0].t1c.TransformPointToWorld(LESIONS[0][1], world)
    # the transform maps CT points to T1c points
    back = ras_lps(planning_transform().TransformPoint(ras_lps(world).tolist()))
    np.testing.assert_allclose(back, LESIONS[0][1], atol=1e-3)
    dose = volumeOfNode(planning.dose)
    index = np.rint(dose.geometry.index_of(ras_lps(world))).astype(int)
    assert dose.array[tuple(index)] > 20


def test_a_map_below_two_transforms_ends_in_ct_space(built):
    node = built.timepoints[0].maps[0][1]
    local = (5.0, 6.0, 7.0)
    world = [0.0, 0.0, 0.0]
    node.TransformPointToWorld(local, world)
    inT1c = perfusion_transform(0).GetInverse().TransformPoint(ras_lps(local).tolist())
    inCt = planning_transform().GetInverse().TransformPoint(inT1c)
    np.testing.assert_allclose(world, ras_lps(inCt), atol=1e-3)


def test_isodose_surfaces_lie_at_their_dose(built):
    """Every point of the 100 % surface has 20 Gy in the dose image."""
    import SimpleITK as sitk

    model = next(m for m in built.planning.isodoses if m.GetAttribute("BMVascular.IsodoseGy") == "20")
    points = model.GetPolyData()
    dose = volumeOfNode(built.planning.dose).to_sitk()
    values = [
        dose.EvaluateAtPhysicalPoint(ras_lps(points.GetPoint(n)).tolist(), sitk.sitkLinear)
        for n in range(0, points.GetNumberOfPoints(), 37)
    ]
    np.testing.assert_allclose(values, 20.0, atol=0.6)


def test_legends_have_title_unit_and_window(built):
    for facts, node in built.timepoints[0].maps:
        legend = display.legendOf(node)
        assert facts["name"] in legend.GetTitleText()
        assert facts["unit"] in legend.GetTitleText()
        assert display.windowOf(node) == pytest.approx(tuple(facts["window"]))
        assert node.GetDisplayNode().GetColorNode().GetName() == f"BMV {facts['colors']}"
    assert display.legendOf(built.timepoints[0].habitats).GetUseColorNamesForLabels()


def test_dose_is_known_to_slicer_rt(built):
    hierarchy = subjectHierarchy(built.world.scene)
    dose = built.planning.dose
    assert dose.GetAttribute("DicomRtImport.DoseVolume") == "1"
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(dose))
    assert hierarchy.GetItemLevel(study) == "Study"
    assert hierarchy.GetItemAttribute(study, "DicomRtImport.DoseUnitName") == "GY"


def test_head_outline_is_smooth_and_inside_the_head(built, folder):
    from BMVascularCore.io import read_volume

    array, geometry = headMask(read_volume(folder / "tp2/images/t1c.nrrd"))
    head_ml = 4 / 3 * np.pi * 7.2 * 9.2 * 8.0
    assert 0.5 * head_ml < (array > 0.5).sum() * geometry.voxel_ml < 0.9 * head_ml
    low, high = np.reshape(boundsOf(built.timepoints[1].head), (3, 2)).T
    assert (low > [-74, -94, -82]).all()
    assert (high < [74, 94, 82]).all()
    assert (high - low > [110, 150, 130]).all()


def test_phenotype_colours_ignore_what_follows_the_label():
    assert phenotypeColor("indeterminate (angiogenic 0.55, mixed 0.35)")[0] == "indeterminate"
    assert phenotypeColor("angiogenic-dominant, on-treatment") == phenotypeColor("angiogenic-dominant")
    assert phenotypeColor(None)[0] == "not assessed"


def test_the_saved_scene_names_no_place_on_this_machine(saved, folder):
    with zipfile.ZipFile(saved) as archive:
        for name in archive.namelist():
            if name.endswith((".mrml", ".json", ".csv", ".tsv")):
                text = archive.read(name).decode("utf-8")
                assert str(folder) not in text
                assert FILE_LIST not in text
                assert "DOE_JOHN" not in text
                assert not re.search(r'="[^"]*file(Name|ListMember)="/', text)
                assert not re.search(r'fileName="(/|[A-Za-z]:|file:)', text)


def test_the_saved_scene_loads_with_everything_in_place(saved, built):
    world = createWorld()
    with loadedScene(world, saved) as scene:
        sequence = scene.GetFirstNodeByName("TP1 DSC sequence")
        assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
        assert float(sequence.GetNthIndexValue(3)) == 4.5
        assert sequence.GetNumberOfDataNodes() == 12
        assert segmentIds(scene.GetFirstNodeByName("TP1 lesions")) == ["M1", "M2", "M3"]
        for name in ("TP1 T1c", "TP1 Ktrans (1/min)", "Planning CT", "TP2 habitats"):
            before = volumeOfNode(built.world.scene.GetFirstNodeByName(name))
            after = volumeOfNode(scene.GetFirstNodeByName(name))
            # Slicer's reader turns a left-handed grid round along k: the same values at the same places
            onGrid = resample(after, before.geometry, interpolation="nearest")
            np.testing.assert_array_equal(onGrid.array, before.array.astype(onGrid.array.dtype))
        colors = scene.GetFirstNodeByName("TP1 habitats").GetDisplayNode().GetColorNode()
        assert colors.GetColorName(2).startswith("barrier-preserved, high blood volume")
        assert (
            display.legendOf(scene.GetFirstNodeByName("TP1 Ktrans (1/min)")).GetTitleText()
            == "Ktrans\n(1/min)"
        )
        patient = subjectHierarchy(scene)
        assert patient.GetItemByName("TP1 (day 0)") != patient.GetInvalidItemID()
        composites = scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
        shown = {
            composites.GetItemAsObject(n).GetLayoutName(): n for n in range(composites.GetNumberOfItems())
        }
        red = composites.GetItemAsObject(shown["Red"])
        assert scene.GetNodeByID(red.GetBackgroundVolumeID()).GetName() == "TP1 T1c"


def test_no_hidden_leftovers_in_the_saved_scene(built):
    scene = built.world.scene
    hidden = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    assert not [n.GetName() for n in hidden if "Slice" in (n.GetName() or "") and n.IsA("vtkMRMLModelNode")]


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no results.json"), ("{", "JSON"), ('{"timepoints": []}', "no time point")]
)
def test_a_folder_without_results_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=message):
        readIndex(tmp_path)


def test_a_missing_image_is_named(tmp_path):
    write_results(tmp_path, n_lesions=1, n_timepoints=1, spacing_mm=6.0, planning=False, series=False)
    (tmp_path / "tp1/dce/ktrans.nrrd").unlink()
    with pytest.raises(InputError, match=r"ktrans\.nrrd"):
        SceneBuilder(tmp_path).addTimepoints()


def test_optional_parts_may_be_missing(tmp_path):
    write_results(tmp_path, n_lesions=1, n_timepoints=1, spacing_mm=6.0, planning=False, series=False)
    index = json.loads((tmp_path / "results.json").read_text())
    timepoint = index["timepoints"][0]
    timepoint.update(habitats=None, maps=[], seeds=[])
    del timepoint["series"]
    timepoint["lesions"]["compartments"] = None
    (tmp_path / "results.json").write_text(json.dumps(index))
    builder = SceneBuilder(tmp_path)
    result = builder.addTimepoints()
    assert builder.addPlanning() is None
    assert result.timepoints[0].habitats is None


def test_unpacking_something_else_is_refused(tmp_path, world):
    (tmp_path / "x.mrb").write_text("no archive")
    with pytest.raises(InputError, match="not a scene file"), loadedScene(world, tmp_path / "x.mrb"):
        pass
