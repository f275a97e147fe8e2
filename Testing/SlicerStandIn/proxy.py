"""PythonQt's view of Qt objects: properties are attributes, names are checked, signals are strings."""

import enum
import weakref

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

from . import facts, messages, signals, values

_alive = weakref.WeakValueDictionary()
_classes = {}

# a static slot hides the property of the same name
HIDDEN_PROPERTIES = {("QTimer", "singleShot")}
TOOLTIP = {"toolTip", "setToolTip"}


class QtClass(type):
    """A Qt class as PythonQt shows it: enums and static functions are attributes."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        native = cls.__dict__.get("_native") or cls._native
        known = cls._facts
        if known and not known.has(name):
            raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}'")
        found = getattr(native, facts.WORDS.get(name, name), None)
        if found is None:
            raise NotImplementedError(f"the stand-in does not offer {cls.__name__}.{name}")
        return _classAttribute(cls, name, found)


def _classAttribute(cls, name, found):
    if values.isEnumMember(found) or values.isEnumClass(found) or isinstance(found, int):
        return wrap(found)
    if isinstance(found, type):
        return classFor(found)

    def call(*args):
        return wrap(found(*[unwrap(a) for a in args]))

    call.__name__ = name
    return call


class Wrapper(metaclass=QtClass):
    """One Qt object in Python."""

    _native = QtCore.QObject
    _facts = None

    def __init__(self, *args):
        native = self._native
        if _isDerived(type(self)):
            native = _dispatching(type(self), native)
        object.__setattr__(self, "_q", native(*[unwrap(a) for a in args]))
        if _isDerived(type(self)):
            self._q.standInOwner = self
        _remember(self)

    def __getattr__(self, name):
        if name.startswith("__") or name == "_q":
            raise AttributeError(name)
        return _read(self, facts.WORDS.get(name, name))

    def __setattr__(self, name, value):
        if _isProperty(self, name):
            _write(self, name, value)
        elif _isDerived(type(self)):
            object.__setattr__(self, name, value)
        elif _has(self, name):
            raise AttributeError(f"Slot '{name}' can not be overwritten on {className(self._q)} object")
        else:
            raise AttributeError(
                f"'{name}' does not exist on {className(self._q)} and creating new attributes"
                " on C++ objects is not allowed"
            )

    def __eq__(self, other):
        if isinstance(other, Wrapper):
            return self._q is other._q or self._q == other._q
        return NotImplemented

    def __hash__(self):
        return hash(shiboken6.getCppPointer(self._q)[0])

    def __bool__(self):
        return True

    def __dir__(self):
        known = self._facts
        return sorted(known.names | set(known.properties)) if known else dir(self._q)

    def __repr__(self):
        title = self._q.objectName() if isinstance(self._q, QtCore.QObject) else ""
        return f"{type(self).__name__} ({className(self._q)}{', ' + title if title else ''})"


class builtin_qt_slot:
    """A method of a Qt object."""

    def __init__(self, owner, name, function):
        self.owner, self.name, self.function = owner, name, function

    def __call__(self, *args):
        args = [unwrap(a) for a in args]
        if self.name in TOOLTIP and args:
            args[0] = asToolTip(args[0])
        return wrap(self.function(*args))

    def __eq__(self, other):
        return isinstance(other, builtin_qt_slot) and (self.owner, self.name) == (other.owner, other.name)

    def __hash__(self):
        return hash((self.owner, self.name))

    def __repr__(self):
        return f"<qt slot {self.name} of {className(self.owner._q)} instance>"


def className(native):
    cls = type(native)
    while "standInDispatch" in cls.__dict__:
        cls = cls.__base__
    return getattr(cls, "standInName", cls.__name__)


def _isDerived(cls):
    return "_native" not in cls.__dict__


def _read(self, name):
    native, known = self._q, self._facts
    if not shiboken6.isValid(native):
        raise ValueError(f"Trying to call '{name}' on a destroyed {type(self).__name__} object")
    if not _has(self, name):
        raise AttributeError(f"{className(native)} has no attribute named '{name}'")
    if name == "name" and isinstance(native, QtCore.QObject):
        return native.objectName()
    if _isProperty(self, name) and (type(self).__name__, name) not in HIDDEN_PROPERTIES:
        return wrap(readProperty(native, name))
    if name in _signalNames(self):
        return signals.Signal(self, name)
    return _method(self, name, known)


def readProperty(native, name):
    """A property; where Qt 6 has only the function of that name, what it returns."""
    if native.metaObject().indexOfProperty(name) >= 0:
        return native.property(name)
    found = getattr(native, name, None)
    if found is None:
        raise NotImplementedError(f"the stand-in does not offer {className(native)}.{name}")
    return found() if callable(found) else found


def _method(self, name, known):
    native = self._q
    if name == "exec" and isinstance(native, (QtWidgets.QDialog, QtWidgets.QMenu)):
        return builtin_qt_slot(self, name, lambda *args: messages.execute(native))
    special = SPECIAL.get(name)
    if special and isinstance(native, QtCore.QObject):
        return builtin_qt_slot(self, name, lambda *args: special(self, *args))
    found = getattr(native, name, None)
    if found is None:
        found = _impliedSetter(native, name, known)
    if found is None:
        raise NotImplementedError(f"the stand-in does not offer {className(native)}.{name}()")
    if values.isEnumMember(found) or values.isEnumClass(found) or isinstance(found, int):
        return wrap(found)
    return builtin_qt_slot(self, name, found) if callable(found) else wrap(found)


def _impliedSetter(native, name, known):
    """`setX(v)` of a property x, where the widget has no function for it."""
    if not known or not name.startswith("set"):
        return None
    prop = name[3:4].lower() + name[4:]
    if prop not in known.properties:
        return None
    kind = known.properties[prop]
    return lambda value: native.setProperty(prop, values.toProperty(prop, kind, value)) and None


def _write(self, name, value):
    native, kind = self._q, _propertyKind(self, name)
    if name == "name":
        name = "objectName"
    if (type(self).__name__, name) in HIDDEN_PROPERTIES:
        raise AttributeError(f"Slot '{name}' can not be overwritten on {className(native)} object")
    if "(read-only)" in kind:
        raise AttributeError(f"Property '{name}' of {className(native)} object is not writable")
    plain = value if values.isForeign(value) else unwrap(value)
    value = values.toProperty(name, kind, plain)
    if name == "toolTip":
        value = asToolTip(value)
    native.setProperty(name, value)


def asToolTip(text):
    """Slicer wraps plain tool tips into a paragraph so that long ones break (ctkToolTipTrapper)."""
    return text if not text or text.lstrip().startswith("<") else f"<p>{text}</p>"


def _has(self, name):
    known, native = self._facts, self._q
    if known:
        return known.has(name)
    isObject = isinstance(native, QtCore.QObject)
    if isObject and (native.metaObject().indexOfProperty(name) >= 0 or name in ("name", *SPECIAL)):
        return True
    return hasattr(native, name)


def _isProperty(self, name):
    native, known = self._q, self._facts
    if not isinstance(native, QtCore.QObject):
        return False
    if known and known.propertiesListed:
        return name in known.properties or name == "name"
    return name == "name" or (native.metaObject().indexOfProperty(name) >= 0 and _has(self, name))


def _propertyKind(self, name):
    known = self._facts
    if name == "name":
        return "QString"
    if known and name in known.properties:
        return known.properties[name]
    meta = self._q.metaObject()
    return meta.property(meta.indexOfProperty(name)).typeName()


def _signalNames(self):
    if self._facts and self._facts.signals:
        return self._facts.signalNames()
    return signals.nativeNames(self._q)


def wrap(value):
    """What Python gets for a value from Qt."""
    if values.isEnumMember(value):
        return values.EnumValue(value)
    if values.isEnumClass(value):
        return values.EnumType(value)
    if isinstance(value, (list, tuple)) and not isinstance(value, str):
        return tuple(wrap(v) for v in value)
    if isinstance(value, dict):
        return {k: wrap(v) for k, v in value.items()}
    if isinstance(value, shiboken6.Object):
        return wrapObject(value)
    return value


def wrapObject(native):
    owner = getattr(native, "standInOwner", None)
    if owner is not None:
        return owner
    if shiboken6.isValid(native):
        known = _alive.get(shiboken6.getCppPointer(native)[0])
        if known is not None and known._q is native:
            return known
    cls = classFor(type(native))
    self = cls.__new__(cls)
    object.__setattr__(self, "_q", native)
    if isinstance(native, QtCore.QObject):
        _remember(self)
    return self


def _remember(self):
    if isinstance(self._q, QtCore.QObject):
        _alive[shiboken6.getCppPointer(self._q)[0]] = self


def unwrap(value):
    """What Qt gets for a value from Python."""
    if isinstance(value, Wrapper):
        return value._q
    if isinstance(value, values.EnumValue):
        return value.member
    if isinstance(value, QtClass):
        return value._native
    if isinstance(value, (list, tuple)) and not isinstance(value, str):
        return [unwrap(v) for v in value]
    if values.isForeign(value):
        raise TypeError(f"Qt cannot take a {type(value).__name__} ({value!r}): convert it first")
    if callable(value) and not isinstance(value, (type, enum.Enum)) and not hasattr(value, "IsA"):
        return signals.handler(value)
    return value


def classFor(native):
    """The Python class of a Qt class; the nearest public one for a private Qt class."""
    while native.__name__.startswith("_"):
        native = native.__base__
    name = native.__name__
    key = getattr(native, "standInName", name)
    if native not in _classes:
        _classes[native] = QtClass(key, (Wrapper,), {"_native": native, "_facts": facts.of(key)})
    return _classes[native]


def _dispatching(cls, native):
    """A Qt class whose virtual functions call those that the Python class defines."""
    body = {"standInDispatch": True}
    for klass in cls.__mro__:
        if klass is Wrapper or not _isDerived(klass):
            break
        for name, function in klass.__dict__.items():
            if callable(function) and not name.startswith("__") and hasattr(native, name):
                body.setdefault(name, _virtual(name))
    return type(native)(cls.__name__, (native,), body)


def _virtual(name):
    def call(self, *args):
        result = getattr(self.standInOwner, name)(*[wrap(a) for a in args])
        return unwrap(result)

    return call


def _findChildren(self, kind=None, name=""):
    native = kind if isinstance(kind, type) else QtCore.QObject
    if isinstance(kind, str):
        name = kind
    return self._q.findChildren(native, name) if name else self._q.findChildren(native)


def _findChild(self, *args):
    found = _findChildren(self, *args)
    return found[0] if found else None


def _inherits(self, name):
    return self._q.inherits(name) or any(c.__name__ == name for c in type(self._q).__mro__)


SPECIAL = {
    "className": lambda self: className(self._q),
    "connect": signals.connect,
    "disconnect": signals.disconnect,
    "findChild": _findChild,
    "findChildren": _findChildren,
    "inherits": _inherits,
    "delete": lambda self: shiboken6.delete(self._q),
    "help": lambda self: None,
}

QT_MODULES = (QtWidgets, QtGui, QtCore)
