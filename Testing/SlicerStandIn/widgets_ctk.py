"""What the ctk widgets do."""

from PySide6 import QtCore, QtGui, QtWidgets

from .native import behaviour


def _row(widget):
    layout = QtWidgets.QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    return layout


class _Numeric:
    """A slider and a spin box that show one value: ctkSliderWidget, qMRMLSliderWidget."""

    defaults = {  # noqa: RUF012
        "decimals": 2, "singleStep": 1.0, "pageStep": 10.0, "minimum": 0.0, "maximum": 100.0, "value": 0.0,
        "tracking": True, "spinBoxVisible": True,
    }  # fmt: skip
    STEPS = 10000

    def build(self):
        row = _row(self)
        self.slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self.slider.setRange(0, self.STEPS)
        self.box = QtWidgets.QDoubleSpinBox(self)
        self.box.setKeyboardTracking(False)
        row.addWidget(self.slider)
        row.addWidget(self.box)
        self.setFocusProxy(self.slider)
        self.slider.valueChanged.connect(self._fromSlider)
        self.box.valueChanged.connect(self._fromBox)
        self._show()

    def _option(self, name):
        return self.held.get(name, self.defaults[name])

    def _fromSlider(self, step):
        low, high = self.minimum, self.maximum
        self.value = round(low + (high - low) * step / self.STEPS, self._option("decimals"))

    def _fromBox(self, value):
        self.value = value

    def _show(self):
        low, high = self.minimum, self.maximum
        for part in (self.slider, self.box):
            part.blockSignals(True)
        self.box.setDecimals(self._option("decimals"))
        self.box.setSingleStep(self.singleStep)
        self.box.setRange(low, high)
        self.box.setPrefix(self.held.get("prefix", ""))
        self.box.setSuffix(self.held.get("suffix", ""))
        self.box.setValue(self.value)
        self.box.setVisible(self._option("spinBoxVisible"))
        self.slider.setValue(round((self.value - low) / (high - low) * self.STEPS) if high > low else 0)
        for part in (self.slider, self.box):
            part.blockSignals(False)

    def get_value(self):
        return self.held.get("shown", 0.0)

    def set_value(self, value):
        shown = round(min(max(value, self.minimum), self.maximum), self._option("decimals"))
        changed = shown != self.value
        self.held["shown"] = shown
        self._show()
        if changed:
            self.valueChanged.emit(shown)

    def setValue(self, value):
        self.value = float(value)

    def _limits(self, _):
        if self.minimum > self.maximum:
            self.held["maximum"] = self.minimum
        self.set_value(self.value)

    set_minimum = set_maximum = set_decimals = _limits

    def _display(self, _):
        self._show()

    set_singleStep = set_prefix = set_suffix = set_spinBoxVisible = _display

    def reset(self):
        self.value = 0.0


def numeric(name):
    behaviour(type(name, (_Numeric,), {}))


for _name in ("ctkSliderWidget", "qMRMLSliderWidget"):
    numeric(_name)


class _SpinBox(_Numeric):
    """The same value without the slider: ctkDoubleSpinBox, qMRMLSpinBox; a slider without the box."""

    def build(self):
        super().build()
        self.slider.hide()

    def clear(self):
        self.box.clear()


behaviour(type("ctkDoubleSpinBox", (_SpinBox,), {}))
behaviour(type("qMRMLSpinBox", (_SpinBox,), {}))


@behaviour
class ctkDoubleSlider(_Numeric):
    defaults = {**_Numeric.defaults, "spinBoxVisible": False, "decimals": 6}  # noqa: RUF012


class _Range:
    """Two values between two limits: ctkRangeWidget, ctkDoubleRangeSlider."""

    defaults = {  # noqa: RUF012
        "decimals": 2, "singleStep": 1.0, "minimum": 0.0, "maximum": 99.0, "minimumValue": 0.0,
        "maximumValue": 99.0, "tracking": True, "slidersVisible": True,
    }  # fmt: skip

    def build(self):
        row = _row(self)
        self.low, self.high = QtWidgets.QDoubleSpinBox(self), QtWidgets.QDoubleSpinBox(self)
        self.bar = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self.bar.setEnabled(False)
        for part in (self.low, self.bar, self.high):
            row.addWidget(part)
        self.pair = (self.defaults["minimumValue"], self.defaults["maximumValue"])
        self._show()
        self.low.valueChanged.connect(lambda v: self.setValues(v, self.pair[1]))
        self.high.valueChanged.connect(lambda v: self.setValues(self.pair[0], v))

    def _show(self):
        for part, value in zip((self.low, self.high), self.pair, strict=True):
            part.blockSignals(True)
            part.setDecimals(self.held.get("decimals", 2))
            part.setSingleStep(self.singleStep)
            part.setRange(self.minimum, self.maximum)
            part.setValue(value)
            part.setSuffix(self.held.get("suffix", ""))
            part.blockSignals(False)

    def get_minimumValue(self):
        return self.pair[0]

    def get_maximumValue(self):
        return self.pair[1]

    def set_minimumValue(self, value):
        self.setValues(value, max(value, self.pair[1]))

    def set_maximumValue(self, value):
        self.setValues(min(value, self.pair[0]), value)

    def setMinimumValue(self, value):
        self.set_minimumValue(value)

    def setMaximumValue(self, value):
        self.set_maximumValue(value)

    def setValues(self, low, high):
        low, high = (min(max(float(v), self.minimum), self.maximum) for v in sorted((low, high)))
        before, self.pair = self.pair, (low, high)
        self._show()
        if low != before[0]:
            self.minimumValueChanged.emit(low)
        if high != before[1]:
            self.maximumValueChanged.emit(high)
        if self.pair != before:
            self.valuesChanged.emit(low, high)

    def values(self):
        return self.pair

    def setRange(self, low, high):
        self.minimum, self.maximum = float(low), float(high)

    def _limits(self, _):
        self.setValues(*self.pair)

    set_minimum = set_maximum = _limits

    def _display(self, _):
        self._show()

    set_decimals = set_singleStep = set_suffix = set_prefix = _display


for _name in ("ctkRangeWidget", "ctkDoubleRangeSlider", "ctkRangeSlider", "qMRMLRangeWidget"):
    behaviour(type(_name, (_Range,), {}))


@behaviour
class ctkCollapsibleButton:
    """A titled section that folds."""

    HEADER = 24
    defaults = {"contentsFrameShape": 0}  # noqa: RUF012

    def build(self):
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(2, self.HEADER + 2, 2, 2)
        self.toggled.connect(self._fold)

    def get_collapsed(self):
        return not self.isChecked()

    def set_collapsed(self, folded):
        self.setChecked(not folded)

    def _fold(self, opened):
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(opened)
        self.setMaximumHeight(16777215 if opened else self.HEADER + 4)
        self.updateGeometry()
        self.contentsCollapsed.emit(not opened)

    def childEvent(self, event):
        child = event.child()
        if event.added() and isinstance(child, QtWidgets.QWidget) and self.get_collapsed():
            child.setVisible(False)

    def minimumSizeHint(self):
        return self.sizeHint()

    def sizeHint(self):
        head = QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text()) + 40, self.HEADER)
        inner = self.layout().totalSizeHint() if self.layout() and self.isChecked() else QtCore.QSize()
        return head.expandedTo(inner)

    def hitButton(self, position):
        return position.y() <= self.HEADER

    def paintEvent(self, _):
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect.setHeight(self.HEADER)
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, 7, 10, 10)
        style = QtWidgets.QStyle
        painter.drawPrimitive(
            style.PE_IndicatorArrowDown if self.isChecked() else style.PE_IndicatorArrowRight, arrow
        )
        painter.drawText(
            QtCore.QRect(22, 0, self.width() - 22, self.HEADER), QtCore.Qt.AlignVCenter, self.text()
        )


@behaviour
class ctkCollapsibleGroupBox:
    def build(self):
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._fold)

    def get_collapsed(self):
        return not self.isChecked()

    def set_collapsed(self, folded):
        self.setChecked(not folded)

    def _fold(self, opened):
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(opened)


@behaviour
class ctkCheckableComboBox:
    """A combo box whose entries carry check marks."""

    def build(self):
        self.model().dataChanged.connect(lambda *_: self.checkedIndexesChanged.emit())
        self.model().rowsInserted.connect(self._checkable)

    def _checkable(self, _, first, last):
        for row in range(first, last + 1):
            item = self.model().item(row)
            item.setCheckable(True)
            item.setCheckState(QtCore.Qt.Unchecked)

    def checkedIndexes(self):
        model = self.model()
        rows = range(model.rowCount())
        return [model.index(r, 0) for r in rows if model.item(r).checkState() == QtCore.Qt.Checked]

    def checkState(self, index):
        return self.model().itemFromIndex(index).checkState()

    def setCheckState(self, index, state):
        self.model().itemFromIndex(index).setCheckState(state)

    def checkableModel(self):
        return self.model()

    def allChecked(self):
        return len(self.checkedIndexes()) == self.count()

    def noneChecked(self):
        return not self.checkedIndexes()


@behaviour
class ctkPathLineEdit:
    """A line for a file or folder name, with a button."""

    defaults = {"showBrowseButton": True, "showHistoryButton": True}  # noqa: RUF012

    def build(self):
        row = _row(self)
        self.edit = QtWidgets.QLineEdit(self)
        self.button = QtWidgets.QToolButton(self)
        self.button.setText("...")
        row.addWidget(self.edit)
        row.addWidget(self.button)
        self.edit.textChanged.connect(self.currentPathChanged)
        self.edit.textChanged.connect(lambda text: self.validInputChanged.emit(bool(text)))

    def get_currentPath(self):
        return self.edit.text()

    def set_currentPath(self, path):
        self.edit.setText(path)

    def addCurrentPathToHistory(self):
        """The history is the user's settings: nothing of it shows in a test."""


@behaviour
class ctkDirectoryButton:
    """A button that shows a folder, or a text of its own in its place."""

    def build(self):
        self.button = QtWidgets.QPushButton(".", self)
        _row(self).addWidget(self.button)

    def get_text(self):
        return self.held.get("text", "")

    def set_text(self, text):
        self.held["text"] = text
        self._show()

    def _show(self):
        self.button.setText(self.get_text() or self.get_directory())

    def get_directory(self):
        return self.held.get("path", "")

    def set_directory(self, path):
        changed = path != self.get_directory()
        self.held["path"] = path
        self._show()
        if changed:
            self.directoryChanged.emit(path)
            self.directorySelected.emit(path)


@behaviour
class ctkColorPickerButton:
    def get_color(self):
        return self.held.get("chosen", QtGui.QColor("black"))

    def set_color(self, color):
        changed = color != self.get_color()
        self.held["chosen"] = color
        if changed:
            self.colorChanged.emit(color)
