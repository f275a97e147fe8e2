"""Signals by their signature: connect, disconnect, emit by calling."""

import functools
import inspect

from PySide6 import QtCore

from . import errors, facts

# (class, signal of Qt 5) -> (signal of Qt 6)
RENAMED = {
    "currentIndexChanged(QString)": "currentTextChanged",
    "valueChanged(QString)": "textChanged",
    "buttonClicked(int)": "idClicked",
    "buttonToggled(int,bool)": "idToggled",
    "activated(QString)": "textActivated",
}


class UnknownSignal(AttributeError):
    """Slicer would return False and stay silent: a connection that never works."""


class Signal:
    """`button.clicked`: connect, disconnect, or call it to emit."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __call__(self, *args):
        from .proxy import unwrap

        signature = _firstSignature(self.owner, self.name)
        args = [unwrap(a) for a in args]
        # a signal whose argument has a default may be called without it
        args += [False] * (_argumentCount(signature) - len(args))
        _native(self.owner, signature).emit(*args)

    def connect(self, receiver):
        return connect(self.owner, _firstSignature(self.owner, self.name), receiver)

    def disconnect(self, receiver=None):
        return disconnect(self.owner, _firstSignature(self.owner, self.name), receiver)

    emit = __call__


def nativeNames(native):
    if not isinstance(native, QtCore.QObject):
        return set()
    meta = native.metaObject()
    methods = (meta.method(i) for i in range(meta.methodCount()))
    return {bytes(m.name()).decode() for m in methods if m.methodType() == QtCore.QMetaMethod.Signal}


def signatures(owner):
    """Signals of an object: those of the list, or those of Qt for a class that the list lacks."""
    if owner._facts and owner._facts.signals:
        return owner._facts.signals
    meta = owner._q.metaObject()
    methods = (meta.method(i) for i in range(meta.methodCount()))
    return tuple(
        bytes(m.methodSignature()).decode() for m in methods if m.methodType() == QtCore.QMetaMethod.Signal
    )


def _firstSignature(owner, name):
    return next(s for s in signatures(owner) if s.split("(")[0] == name)


def _connections(native):
    if not hasattr(native, "standInConnections"):
        native.standInConnections = []
    return native.standInConnections


def _checked(owner, signature):
    wanted = facts.normalized(signature)
    if wanted not in {facts.normalized(s) for s in signatures(owner)}:
        raise UnknownSignal(f"{type(owner).__name__} has no signal '{signature}'")
    return wanted


def _native(owner, signature):
    """The PySide6 signal behind a signature."""
    native = owner._q
    name = RENAMED.get(signature, signature.split("(")[0])
    name = getattr(native, "standInOverloads", {}).get(signature, name)
    found = getattr(native, name, None)
    if found is None or not hasattr(found, "connect"):
        raise NotImplementedError(f"the stand-in does not emit {type(owner).__name__}.{signature}")
    try:
        return found[tuple(_types(signature))]
    except (IndexError, KeyError, TypeError):
        return found


def connect(owner, signature, receiver, slot=None):
    """Connect a signal to a callable, or to a slot of another object."""
    signature = _checked(owner, signature)
    if slot is not None:
        receiver = getattr(_wrapped(receiver), facts.normalized(slot).split("(")[0])
    call = getattr(receiver, "standInOriginal", receiver)
    count = _argumentCount(signature)
    native = _native(owner, signature)

    forward = _ofArity(count, lambda *args: _invoke(call, args))
    native.connect(forward)
    _connections(owner._q).append((signature, call, native, forward))
    return True


def _wrapped(receiver):
    from .proxy import wrap

    return wrap(receiver)


def disconnect(owner, signature=None, receiver=None, slot=None):
    """Take connections away: one handler, or all of a signal."""
    if signature is not None:
        signature = _checked(owner, signature)
    if slot is not None:
        receiver = getattr(_wrapped(receiver), facts.normalized(slot).split("(")[0])
    receiver = getattr(receiver, "standInOriginal", receiver)
    kept, gone = [], []
    for entry in _connections(owner._q):
        match = _sameSignal(signature, entry[0]) and (receiver is None or entry[1] == receiver)
        (gone if match else kept).append(entry)
    for _, _, native, forward in gone:
        native.disconnect(forward)
    owner._q.standInConnections = kept
    return bool(gone)


def _sameSignal(wanted, connected):
    """`clicked(bool)` and `clicked()` are one signal whose argument has a default."""
    if wanted is None or wanted == connected:
        return True
    shorter, longer = sorted((_types(wanted), _types(connected)), key=len)
    same = wanted.split("(")[0] == connected.split("(")[0]
    return same and len(shorter) < len(longer) and longer[: len(shorter)] == shorter


def _types(signature):
    inside = signature[signature.index("(") + 1 : -1]
    return inside.split(",") if inside else []


def _argumentCount(signature):
    return len(_types(signature))


def _ofArity(count, call):
    """PySide6 chooses the overload of a signal by the number of arguments a handler takes."""
    return (
        lambda: call(),
        lambda a: call(a),
        lambda a, b: call(a, b),
        lambda a, b, c: call(a, b, c),
        lambda a, b, c, d: call(a, b, c, d),
    )[count]


def accepted(function):
    """How many arguments a Python handler takes; None: any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _invoke(call, args):
    """Call a handler as PythonQt does: surplus arguments dropped, exceptions printed."""
    from .proxy import wrap

    limit = accepted(call)
    args = [wrap(a) for a in args]
    try:
        return call(*args) if limit is None else call(*args[:limit])
    except Exception:  # PythonQt prints what a handler raises and goes on; the test reads it from errors
        errors.report()
        return None


def handler(function):
    """A Python callable handed to Qt (`QTimer.singleShot(0, f)`)."""
    if hasattr(function, "standInOriginal"):
        return function

    def forward(*args):
        return _invoke(function, args)

    try:
        functools.update_wrapper(forward, function, assigned=("__name__",), updated=())
    except AttributeError:
        forward.__name__ = "handler"
    forward.standInOriginal = function
    return forward
