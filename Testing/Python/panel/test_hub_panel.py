"""The hub, driven as a person would."""


def test_fixtures(filled, module, study_folder):
    panel = module("BMVascular").open("BMVascular")
    print(len(filled), panel.ui.rolesTable.rowCount)
    for r in panel._stepRows(): print(r)
    for f in panel._findings: print(f.status, f.role, f.item, f.found)
