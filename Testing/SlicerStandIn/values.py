"""Values on their way between Python and Qt: enums, property types."""

import enum
from pathlib import PurePath


class EnumValue(int):
    """An enum member: an int to Python (as in PythonQt), the member itself to Qt."""

    def __new__(cls, member):
        value = member.value
        self = super().__new__(cls, value if isinstance(value, int) else 0)
        self.member = member
        return self

    def _combine(self, other, operate):
        if isinstance(other, EnumValue) and type(other.member) is type(self.member):
            return EnumValue(operate(self.member, other.member))
        return operate(int(self), int(other))

    def __or__(self, other):
        return self._combine(other, lambda a, b: a | b)

    def __and__(self, other):
        return self._combine(other, lambda a, b: a & b)

    def __xor__(self, other):
        return self._combine(other, lambda a, b: a ^ b)

    def __invert__(self):
        return EnumValue(~self.member) if isinstance(self.member, enum.Flag) else ~int(self)

    def __repr__(self):
        return str(int(self))

    __str__ = __repr__
    __hash__ = int.__hash__


class EnumType:
    """An enum type reached from Python: `qt.Qt.AlignmentFlag`."""

    def __init__(self, native):
        self.native = native

    def __call__(self, value):
        return EnumValue(self.native(int(value)))

    def __getattr__(self, name):
        return EnumValue(getattr(self.native, name))


def isNumpyScalar(value):
    return type(value).__module__ == "numpy" and not isinstance(value, (int, float))


def isForeign(value):
    """Values that PythonQt does not convert."""
    return isinstance(value, PurePath) or isNumpyScalar(value)


def refuse(name, kind, value):
    raise AttributeError(
        f"Property '{name}' of type '{kind}' does not accept an object of type"
        f" {type(value).__name__} ({value!r})"
    )


def _toInt(name, kind, value):
    if isinstance(value, (int, float)) and not isNumpyScalar(value):
        return int(value)
    return refuse(name, kind, value)


def _toDouble(name, kind, value):
    if isinstance(value, (int, float)) and not isNumpyScalar(value):
        return float(value)
    return refuse(name, kind, value)


def _toBool(name, kind, value):
    if isinstance(value, (bool, int, float)) and not isNumpyScalar(value):
        return bool(value)
    return refuse(name, kind, value)


def _toString(name, kind, value):
    if value is None or isinstance(value, PurePath):
        return refuse(name, kind, value)
    return value if isinstance(value, str) else str(value)


def _toStringList(name, kind, value):
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return list(value)
    return refuse(name, kind, value)


CONVERTERS = {
    "int": _toInt,
    "uint": _toInt,
    "double": _toDouble,
    "float": _toDouble,
    "bool": _toBool,
    "QString": _toString,
    "QStringList": _toStringList,
}


def toProperty(name, kind, value):
    """A Python value as a property of this Qt type takes it.

    PythonQt cuts a float off for an int and refuses a string for a number
    (PythonQtConv.cpp, PyObjToQVariant).
    """
    convert = CONVERTERS.get(kind)
    return convert(name, kind, value) if convert else value


def defaultOf(kind):
    """What a property of this type holds before anything is set."""
    plain = {"int": 0, "uint": 0, "double": 0.0, "float": 0.0, "bool": False, "QString": ""}
    if kind in plain:
        return plain[kind]
    return [] if kind == "QStringList" else None


def qtType(kind):
    """Type under which a property of this kind is declared to Qt."""
    plain = {"int": int, "double": float, "bool": bool, "QString": str, "QStringList": "QStringList"}
    return plain.get(kind, "QVariant")


def isEnumMember(value):
    return isinstance(value, enum.Enum) and type(value).__module__.startswith("PySide6")


def isEnumClass(value):
    return isinstance(value, type) and issubclass(value, enum.Enum) and value.__module__.startswith("PySide6")
