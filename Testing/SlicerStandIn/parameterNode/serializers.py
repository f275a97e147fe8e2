"""How each type of field is kept in the node's parameters."""

import collections.abc
import enum
import pathlib
import types
import typing

import slicer

from .annotations import IsInstance, NotNone, Validator, split

_registered = []
PATHS = (pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath)
PURE_PATHS = (pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath)


class Serializer:
    """Reads and writes one type; own types register a subclass with `parameterNodeSerializer`."""

    validators = ()

    @staticmethod
    def canSerialize(kind):
        raise NotImplementedError

    @classmethod
    def create(cls, kind):
        return cls(kind)

    def __init__(self, kind=None):
        self.kind = kind

    def default(self):
        return self.kind()

    def isIn(self, node, name):
        return bool(node.HasParameter(name))

    def read(self, node, name):
        return self.fromText(node.GetParameter(name))

    def write(self, node, name, value):
        node.SetParameter(name, self.toText(value))

    def remove(self, node, name):
        node.UnsetParameter(name)

    def toText(self, value):
        return str(value)

    def fromText(self, text):
        return self.kind(text)

    @staticmethod
    def supportsCaching():
        return False


def parameterNodeSerializer(classtype=None):
    """Class decorator: fields of this type can be stored."""

    def register(cls):
        _registered.append(cls)
        return cls

    return register if classtype is None else register(classtype)


class Checked:
    """A serializer with the validators of its type and of the annotation."""

    def __init__(self, inner, validators):
        self.inner, self.validators = inner, [*inner.validators, *validators]

    def write(self, node, name, value):
        for validator in self.validators:
            validator.validate(value)
        self.inner.write(node, name, value)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def createSerializer(kind, annotations=()):
    """Serializer of a type, and the annotations that it did not use."""
    validators = [a for a in annotations if isinstance(a, Validator)]
    others = [a for a in annotations if not isinstance(a, Validator)]
    for candidate in _registered:
        if candidate.canSerialize(kind):
            return Checked(candidate.create(kind), validators), others
    raise TypeError(f"Unable to create serializer for type: {kind}")


def ofHint(hint):
    return createSerializer(*split(hint))[0]


@parameterNodeSerializer
class NumberSerializer(Serializer):
    @staticmethod
    def canSerialize(kind):
        return kind in (int, float)

    def __init__(self, kind):
        super().__init__(kind)
        self.validators = (NotNone(), IsInstance((int, float) if kind is float else int))

    def default(self):
        return 0


@parameterNodeSerializer
class StringSerializer(Serializer):
    @staticmethod
    def canSerialize(kind):
        return kind is str

    validators = (NotNone(), IsInstance(str))


@parameterNodeSerializer
class BoolSerializer(Serializer):
    @staticmethod
    def canSerialize(kind):
        return kind is bool

    validators = (NotNone(), IsInstance(bool))

    def fromText(self, text):
        return text == "True"


@parameterNodeSerializer
class PathSerializer(Serializer):
    @staticmethod
    def canSerialize(kind):
        return kind in PATHS + PURE_PATHS

    def __init__(self, kind):
        super().__init__(kind)
        self.validators = (NotNone(), IsInstance(kind))


@parameterNodeSerializer
class EnumSerializer(Serializer):
    """An enum is stored by the name of its member."""

    @staticmethod
    def canSerialize(kind):
        return isinstance(kind, type) and issubclass(kind, enum.Enum)

    def __init__(self, kind):
        super().__init__(kind)
        self.validators = (NotNone(), IsInstance(kind))

    def default(self):
        return next(iter(self.kind))

    def toText(self, value):
        return value.name

    def fromText(self, text):
        return self.kind[text]


def nodeTypes(hint):
    """Node classes of a field: `vtkMRMLXNode`, a union of them, with or without None; else empty."""
    kind = split(hint)[0]
    members = typing.get_args(kind) if isUnion(kind) else (kind,)
    found = [m for m in members if m is not type(None)]
    isNode = all(isinstance(m, type) and issubclass(m, slicer.vtkMRMLNode) for m in found)
    return tuple(found) if isNode and found else ()


def isUnion(kind):
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


@parameterNodeSerializer
class NodeSerializer(Serializer):
    """A node is a node reference, so that it is saved with the scene; a removed node reads None."""

    @staticmethod
    def canSerialize(kind):
        return bool(nodeTypes(kind))

    def __init__(self, kind):
        super().__init__(kind)
        kinds = nodeTypes(kind)
        self.validators = (IsInstance(kinds[0] if len(kinds) == 1 else kinds),)

    def default(self):
        return None

    def read(self, node, name):
        return node.GetNodeReference(name)

    def write(self, node, name, value):
        if isUnion(self.kind):
            self.remove(node, name)  # as Slicer does: watchers hear of the same value, too
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def remove(self, node, name):
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


@parameterNodeSerializer
class NoneSerializer(Serializer):
    @staticmethod
    def canSerialize(kind):
        return kind is type(None)

    def toText(self, value):
        return "True"

    def fromText(self, text):
        return None


@parameterNodeSerializer
class UnionSerializer(Serializer):
    """`Optional[float]`: the alternative in use is stored under its index."""

    @staticmethod
    def canSerialize(kind):
        return isUnion(kind) and not nodeTypes(kind)

    def __init__(self, kind):
        super().__init__(kind)
        self.members = typing.get_args(kind)
        self.parts = [ofHint(m) for m in self.members]

    def default(self):
        return None if type(None) in self.members else self.parts[0].default()

    def _inUse(self, node, name):
        return next((i for i, p in enumerate(self.parts) if p.isIn(node, f"{name}.{i}")), None)

    def isIn(self, node, name):
        return self._inUse(node, name) is not None

    def read(self, node, name):
        index = self._inUse(node, name)
        return self.parts[index].read(node, f"{name}.{index}")

    def write(self, node, name, value):
        index = self._fitting(value)
        self.remove(node, name)
        self.parts[index].write(node, f"{name}.{index}", value)

    def _fitting(self, value):
        for i, (member, part) in enumerate(zip(self.members, self.parts, strict=True)):
            if (value is None) != (member is type(None)):
                continue
            try:
                for validator in part.validators:
                    validator.validate(value)
            except (TypeError, ValueError):
                continue
            return i
        raise TypeError(f"Value must be of type '{self.kind}', is type '{type(value)}' value '{value}'")

    def remove(self, node, name):
        for i, part in enumerate(self.parts):
            part.remove(node, f"{name}.{i}")


class ObservedList(collections.abc.MutableSequence):
    """A list that writes itself back when it is changed."""

    def __init__(self, values, save):
        self._list, self._save = values, save

    def __repr__(self):
        return f"ObservedList({self._list})"

    def __eq__(self, other):
        return self._list == (other._list if isinstance(other, ObservedList) else other)

    def __len__(self):
        return len(self._list)

    def __getitem__(self, index):
        return self._list[index]

    def __setitem__(self, index, value):
        self._list[index] = value
        self._save(self._list)

    def __delitem__(self, index):
        del self._list[index]
        self._save(self._list)

    def insert(self, index, value):
        self._list.insert(index, value)
        self._save(self._list)


@parameterNodeSerializer
class ListSerializer(Serializer):
    @staticmethod
    def canSerialize(kind):
        return typing.get_origin(kind) is list

    def __init__(self, kind):
        super().__init__(kind)
        self.part = ofHint(typing.get_args(kind)[0])
        self.validators = (NotNone(),)

    def default(self):
        return []

    def isIn(self, node, name):
        return bool(node.HasParameter(f"{name}.len"))

    def read(self, node, name):
        count = int(node.GetParameter(f"{name}.len"))
        values = [self.part.read(node, f"{name}.{i}") for i in range(count)]
        return ObservedList(values, lambda changed: self.write(node, name, changed))

    def write(self, node, name, value):
        with slicer.util.NodeModify(node):
            before = int(node.GetParameter(f"{name}.len") or 0)
            for i, item in enumerate(value):
                self.part.write(node, f"{name}.{i}", item)
            for i in range(len(value), before):
                self.part.remove(node, f"{name}.{i}")
            node.SetParameter(f"{name}.len", str(len(value)))

    def remove(self, node, name):
        for i in range(int(node.GetParameter(f"{name}.len") or 0)):
            self.part.remove(node, f"{name}.{i}")
        node.UnsetParameter(f"{name}.len")


@parameterNodeSerializer
class TupleSerializer(Serializer):
    @staticmethod
    def canSerialize(kind):
        return typing.get_origin(kind) is tuple

    def __init__(self, kind):
        super().__init__(kind)
        self.parts = [ofHint(a) for a in typing.get_args(kind)]
        self.validators = (NotNone(), IsInstance(tuple))

    def default(self):
        return tuple(p.default() for p in self.parts)

    def isIn(self, node, name):
        return all(p.isIn(node, f"{name}.{i}") for i, p in enumerate(self.parts))

    def read(self, node, name):
        return tuple(p.read(node, f"{name}.{i}") for i, p in enumerate(self.parts))

    def write(self, node, name, value):
        for i, (part, item) in enumerate(zip(self.parts, value, strict=True)):
            part.write(node, f"{name}.{i}", item)

    def remove(self, node, name):
        for i, part in enumerate(self.parts):
            part.remove(node, f"{name}.{i}")


@parameterNodeSerializer
class DictSerializer(Serializer):
    """A dict is two lists, keys and values."""

    @staticmethod
    def canSerialize(kind):
        return typing.get_origin(kind) is dict

    def __init__(self, kind):
        super().__init__(kind)
        keys, values = typing.get_args(kind)
        self.keys, self.values = ListSerializer(list[keys]), ListSerializer(list[values])
        self.validators = (NotNone(),)

    def default(self):
        return {}

    def isIn(self, node, name):
        return self.keys.isIn(node, f"{name}.keys")

    def read(self, node, name):
        return dict(
            zip(self.keys.read(node, f"{name}.keys"), self.values.read(node, f"{name}.values"), strict=True)
        )

    def write(self, node, name, value):
        self.keys.write(node, f"{name}.keys", list(value))
        self.values.write(node, f"{name}.values", list(value.values()))

    def remove(self, node, name):
        self.keys.remove(node, f"{name}.keys")
        self.values.remove(node, f"{name}.values")


class FloatRange:
    """Two numbers, low and high: the value of a range widget."""

    def __init__(self, minimum=0.0, maximum=0.0):
        self.minimum, self.maximum = float(minimum), float(maximum)

    def __eq__(self, other):
        return (self.minimum, self.maximum) == (other.minimum, other.maximum)

    def __repr__(self):
        return f"FloatRange({self.minimum}, {self.maximum})"


class RangeBounds:
    """Annotation: limits of the widget of a FloatRange."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


@parameterNodeSerializer
class RangeSerializer(Serializer):
    @staticmethod
    def canSerialize(kind):
        return kind is FloatRange

    validators = (NotNone(), IsInstance(FloatRange))

    def toText(self, value):
        return f"{value.minimum};{value.maximum}"

    def fromText(self, text):
        return FloatRange(*text.split(";"))
