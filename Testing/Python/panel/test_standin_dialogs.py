"""Dialogs are kept and answered; common widgets behave."""


def test_message_boxes_are_answered(host):
    import qt

    host.messages.answer(qt.QMessageBox.Yes)
    assert qt.QMessageBox.question(None, "Title", "Really?") == qt.QMessageBox.Yes
    box = qt.QMessageBox()
    box.text = "Careful"
    host.messages.answer(qt.QMessageBox.Cancel)
    assert box.exec_() == qt.QMessageBox.Cancel
    assert [m.text for m in host.messages.take()] == ["Really?", "Careful"]


def test_file_dialogs_are_answered(host):
    import qt

    host.messages.answer("/data/study")
    assert qt.QFileDialog.getExistingDirectory(None, "Study") == "/data/study"
    assert qt.QFileDialog.getOpenFileName(None, "File") == ""


def test_a_dialog_can_be_driven_while_it_is_open(host):
    import qt

    dialog = qt.QDialog()
    edit = qt.QLineEdit(dialog)

    def person(native):
        edit.text = "typed"
        return 1

    host.messages.answer(person)
    assert dialog.exec_() == 1
    assert edit.text == "typed"


def test_table_cells_tell_of_changes(host):
    import qt

    table, seen = qt.QTableWidget(2, 2), []
    item = qt.QTableWidgetItem("x")
    table.setItem(0, 1, item)
    table.connect("cellChanged(int,int)", lambda row, column: seen.append((row, column)))
    item.setText("y")
    table.selectRow(0)
    assert seen == [(0, 1)]
    assert [i.row() for i in table.selectionModel().selectedRows()] == [0]


def test_button_groups_speak_qt5_and_qt6(host):
    import qt

    group, button, seen = qt.QButtonGroup(), qt.QRadioButton("b"), []
    group.addButton(button, 7)
    group.connect("buttonClicked(int)", seen.append)
    group.connect("idClicked(int)", seen.append)
    button.click()
    assert seen == [7, 7]


def test_selecting_a_module_goes_through_the_main_window(host, example):
    host.slicer.util.selectModule("BlurExample")
    assert host.slicer.util.selectedModule() == "BlurExample"


def test_settings_stay_in_this_run(host):
    import qt

    qt.QSettings().setValue("BMVascular/test", 3)
    assert qt.QSettings().value("BMVascular/test") == 3
    assert host.slicer.app.temporaryPath in qt.QSettings().fileName()
