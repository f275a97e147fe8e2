"""The published pictures: all there, marked, cut nowhere, and showing what the results say."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lib_results import LESIONS, write_results
from PIL import Image

from BMVascularLib import display, lesionPictures, offscreen, pictures
from BMVascularLib.offscreen import SliceView
from BMVascularLib.planningPictures import checkerboard
from BMVascularLib.publish import main, publish
from BMVascularLib.resultsScene import SceneBuilder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("results"), n_lesions=2, spacing_mm=2.5)


@pytest.fixture(scope="module")
def published(folder):
    messages = []
    entries = publish(folder, lambda fraction, text: messages.append((fraction, text)))
    return entries, messages


def test_every_picture_is_there_and_listed(published, folder):
    entries, _ = published
    assert json.loads((folder / "pictures.json").read_text()) == entries
    kinds = [entry["kind"] for entry in entries]
    assert (kinds.count("lesion"), kinds.count("overview"), kinds.count("planning")) == (4, 2, 1)
    assert {(e["lesion"], e["timepoint"]) for e in entries if e["kind"] == "lesion"} == {
        (name, label) for name in ("M1", "M2") for label in ("TP1", "TP2")
    }
    for entry in entries:
        assert not Path(entry["file"]).is_absolute()
        assert entry["caption"]
        with Image.open(folder / entry["file"]) as image:
            assert image.mode == "RGB"
            assert image.width > 900
    assert (folder / "scene.mrb").stat().st_size > 100_000


def test_progress_rises_to_one(published):
    fractions = [fraction for fraction, _ in published[1]]
    assert fractions[-1] == 1.0
    assert fractions[0] == 0.0
    assert fractions == sorted(fractions)


def test_every_picture_carries_the_mark(published, folder):
    for entry in published[0]:
        corner = np.asarray(Image.open(folder / entry["file"]))[:60, -220:]
        assert (corner == pictures.NOTICE).all(axis=-1).sum() > 100


def test_real_data_are_marked_as_research():
    assert lesionPictures.markOf({"simulated": True}) == "SIMULATED DATA"
    assert lesionPictures.markOf({"simulated": False}) == "RESEARCH USE ONLY"
    assert "Not a medical device" in lesionPictures.noticeOf({})


def tile(sheet, row, column):
    """One tile of a lesion sheet, without the strip of letters."""
    step = pictures.TILE + pictures.GAP
    top, left = 74 + row * step, pictures.MARGIN + column * step
    return np.asarray(sheet)[top : top + pictures.TILE, left : left + pictures.TILE].astype(int)


def test_lesion_sheet_shows_lesion_maps_and_habitats(published, folder):
    sheet = Image.open(folder / "pictures/TP1_M1.png")
    middle = slice(130, 170)
    for column in range(3):
        anatomy, volume, leak, habitats = (tile(sheet, row, column) for row in range(4))
        # cyan outline on grey anatomy
        outline = (anatomy[..., 1] > 200) & (anatomy[..., 2] > 200) & (anatomy[..., 0] < 90)
        rows, columns = np.nonzero(outline)
        assert np.hypot(rows - 149.5, columns - 149.5).mean() * 60 / 300 == pytest.approx(9, abs=1.2)
        # M1 has rCBV 4.6 of 6 in its rim: warm; normal tissue is not
        assert (volume[..., 0] - volume[..., 2])[100:200, 100:200].max() > 100
        # permeability is drawn in the lesion only: elsewhere the anatomy is grey
        spread = leak.max(axis=-1) - leak.min(axis=-1)
        assert spread[110:190, 110:190].max() > 60
        assert (spread[230:260, 20:120] < 12).mean() > 0.95
        assert (habitats[middle, middle].max(axis=-1) - habitats[middle, middle].min(axis=-1)).mean() > 60


def test_the_other_time_point_is_not_drawn(published, folder):
    """TP2's lesions are larger: their outline may not appear on TP1's sheet."""
    for label, radius in (("TP1", 9.0), ("TP2", 9.0 * 1.15)):
        anatomy = tile(Image.open(folder / f"pictures/{label}_M1.png"), 0, 0)
        outline = (anatomy[..., 1] > 200) & (anatomy[..., 2] > 200) & (anatomy[..., 0] < 90)
        rows, columns = np.nonzero(outline)
        distance = np.hypot(rows - 149.5, columns - 149.5) * 60 / 300
        assert distance.max() < radius + 3.2
        assert np.median(distance) == pytest.approx(radius, abs=1.2)


def test_overview_shows_the_phenotype_colours(published, folder):
    image = np.asarray(Image.open(folder / "pictures/TP1_3d.png")).astype(int)
    views = image[74:594, :1560]
    orange = (views[..., 0] > views[..., 2] + 80).sum()
    blue = (views[..., 2] > views[..., 0] + 60).sum()
    assert orange > 500
    assert blue > 200


def test_planning_picture_shows_targets_and_isodoses(published, folder):
    sheet = Image.open(folder / "pictures/planning.png")
    for row in (0, 2):
        found = tile(sheet, row, 0)
        assert (np.abs(found - (64, 160, 255)).max(axis=-1) < 60).sum() > 10
        assert (np.abs(found - (255, 217, 26)).max(axis=-1) < 60).sum() > 10


def test_scene_is_as_before_after_the_pictures(published, folder):
    builder = SceneBuilder(folder)
    result = builder.addTimepoints()
    first = result.timepoints[0]
    scene = result.world.scene
    before = scene.GetNumberOfNodes()
    visible = [t.lesions.GetDisplayNode().GetVisibility() for t in result.timepoints]
    lesionPictures.lesionPictures(result, first)
    assert scene.GetNumberOfNodes() == before
    assert [t.lesions.GetDisplayNode().GetVisibility() for t in result.timepoints] == visible
    with SliceView(result.world, (200, 200)) as view:
        display.setLayers(view.composite, first.t1c)
        view.place(LESIONS[0][1], "Axial", 70)
        image = view.image().astype(int)
        # vermilion of the phenotype again
        assert (np.abs(image - (213, 94, 0)).max(axis=-1) < 50).sum() > 40


def test_checkerboard_takes_squares_in_turn():
    mixed = checkerboard(np.zeros((300, 300, 3), np.uint8), np.full((300, 300, 3), 255, np.uint8))
    assert mixed[10, 10, 0] == 0
    assert mixed[10, 60, 0] == 255
    assert mixed[60, 60, 0] == 0
    assert mixed.mean() == pytest.approx(127.5, abs=1)


MEASURED = """
import sys
from pathlib import Path
from BMVascularLib.publish import main
code = main(sys.argv[1:])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak.split()[1])
sys.exit(code)
"""


def test_command_line_without_a_display(folder, root):
    """As on a server: no DISPLAY, another process, below the time and memory that are promised."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "VTK_DEFAULT_OPENGL_WINDOW")}
    environment["PYTHONPATH"] = str(root / "BMVascular")
    for file in folder.glob("pictures/*.png"):
        file.unlink()
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(folder)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ERR" not in done.stderr
    assert len(list(folder.glob("pictures/*.png"))) == 7
    assert time.monotonic() - start < 60
    # the child's own pages: the parent's are counted to a child that was forked from it
    assert float(done.stdout.split()[-1]) < 2e6


def test_a_patient_without_lesions(tmp_path):
    write_results(tmp_path, n_lesions=0, n_timepoints=1, spacing_mm=6.0, series=False)
    entries = publish(tmp_path)
    assert [entry["kind"] for entry in entries] == ["overview", "planning"]
    assert all((tmp_path / entry["file"]).is_file() for entry in entries)


def test_without_a_way_to_draw_the_scene_is_still_written(tmp_path, monkeypatch, capsys):
    write_results(tmp_path, n_lesions=1, n_timepoints=1, spacing_mm=6.0, series=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(offscreen, "_found", lambda library: False)
    assert main([str(tmp_path)]) == 0
    assert "apt install" in capsys.readouterr().err
    assert (tmp_path / "scene.mrb").is_file()
    assert json.loads((tmp_path / "pictures.json").read_text()) == []


@pytest.mark.parametrize(
    ("there", "window"),
    [("libEGL.so.1", "vtkEGLRenderWindow"), ("libOSMesa.so.8", "vtkOSOpenGLRenderWindow")],
)
def test_the_way_to_draw_follows_what_is_installed(monkeypatch, there, window):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("VTK_DEFAULT_OPENGL_WINDOW", raising=False)
    monkeypatch.setattr(offscreen, "_found", lambda library: library == there)
    offscreen.chooseRenderWindow()
    assert os.environ.pop("VTK_DEFAULT_OPENGL_WINDOW") == window
    assert offscreen.drawingProblem() is None


def test_command_line_refuses_a_folder_without_results(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    message = capsys.readouterr().err.strip()
    assert "results.json" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []
