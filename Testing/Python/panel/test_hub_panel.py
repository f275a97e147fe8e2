"""The hub, driven as a person would."""


def test_fixtures(filled, module, study_folder):
    panel = module("BMVascular").open("BMVascular")
    print(len(filled), panel.ui.rolesTable.rowCount)
    print(list(study_folder.iterdir()))
