"""The study hub with the simulated patient loaded and lesions as the next step."""

import common


def main():
    """Write ``panel-hub.png`` and ``panel-hub-protocol.png``."""
    host = common.start("BMVascular")
    panel = host.open("BMVascular")
    common.fillScene(host)
    panel.logic.showAnatomy()
    panel.refresh()
    from BMVascularLib.seeds import seedsOfNode
    from BMVascularLib.studyNodes import firstOf

    scene = host.slicer.mrmlScene
    ras = seedsOfNode(firstOf(scene, "seeds", "TP1"))[0][1]
    common.showVolume(host, firstOf(scene, "T1c", "TP1"), ras)
    paths = [common.save(host, "BMVascular", "hub")]
    panel.ui.studyButton.collapsed = panel.ui.seriesButton.collapsed = True
    panel.ui.protocolButton.collapsed = False
    panel.ui.protocolTable.selectRow(1)
    paths.append(common.save(host, "BMVascular", "hub-protocol"))
    return paths


if __name__ == "__main__":
    print(main())
