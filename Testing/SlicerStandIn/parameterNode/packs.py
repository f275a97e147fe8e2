"""`@parameterPack`: several fields under one name."""

import typing

from .annotations import Default, first, split
from .serializers import Serializer, createSerializer, ofHint, parameterNodeSerializer


def isParameterPack(kind):
    return getattr(kind, "allPackParameters", None) is not None


def fieldsOf(cls):
    """Name -> (type hint, serializer, default) of a class with annotated fields."""
    found = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        kind, annotations = split(hint)
        serializer, others = createSerializer(kind, annotations)
        if name in cls.__dict__:
            default = Default(cls.__dict__[name])
        else:
            default = first(others, Default) or Default(generator=serializer.default)
        found[name] = (hint, serializer, default)
    return found


def parameterPack(classtype=None):
    """Class decorator: a value object of typed fields."""

    def make(cls):
        cls.allPackParameters = fieldsOf(cls)
        if "__init__" not in cls.__dict__:
            cls.__init__ = _initialize
        cls.getValue, cls.setValue = _get, _set
        cls.dataType = staticmethod(lambda name: _dataType(cls, name))
        cls.__eq__ = lambda a, b: type(a) is type(b) and vars(a) == vars(b)
        cls.__hash__ = None
        return cls

    return make if classtype is None else make(classtype)


def _initialize(self, *args, **kwargs):
    given = {**dict(zip(self.allPackParameters, args, strict=False)), **kwargs}
    unknown = set(given) - set(self.allPackParameters)
    if unknown:
        raise TypeError(f"{type(self).__name__} has no field '{unknown.pop()}'")
    for name, (_, _, default) in self.allPackParameters.items():
        object.__setattr__(self, name, given.get(name, default.value))


def _get(self, name):
    top, _, rest = name.partition(".")
    value = getattr(self, top)
    return value.getValue(rest) if rest else value


def _set(self, name, value):
    top, _, rest = name.partition(".")
    if rest:
        getattr(self, top).setValue(rest, value)
    else:
        setattr(self, top, value)


def _dataType(cls, name):
    top, _, rest = name.partition(".")
    if top not in cls.allPackParameters:
        raise ValueError(f"Cannot find a param with the given name: {top}")
    hint = cls.allPackParameters[top][0]
    return split(hint)[0].dataType(rest) if rest else hint


@parameterNodeSerializer
class PackSerializer(Serializer):
    """Fields under dotted names; the pack that is read writes itself back when a field is set."""

    @staticmethod
    def canSerialize(kind):
        return isParameterPack(kind)

    def _parts(self):
        return {name: ofHint(hint) for name, (hint, _, _) in self.kind.allPackParameters.items()}

    def isIn(self, node, name):
        return all(part.isIn(node, f"{name}.{field}") for field, part in self._parts().items())

    def read(self, node, name):
        values = {field: part.read(node, f"{name}.{field}") for field, part in self._parts().items()}
        pack = _observedClass(self.kind)(**values)
        object.__setattr__(pack, "_standInSave", (self, node, name))
        return pack

    def write(self, node, name, value):
        for field, part in self._parts().items():
            part.write(node, f"{name}.{field}", getattr(value, field))

    def remove(self, node, name):
        for field, part in self._parts().items():
            part.remove(node, f"{name}.{field}")


def _observedClass(kind):
    def save(self, name, value):
        target = vars(self).get("_standInSave")
        if target and name in self.allPackParameters:
            serializer, node, prefix = target
            serializer._parts()[name].write(node, f"{prefix}.{name}", value)
        object.__setattr__(self, name, value)

    return type(f"Observed{kind.__name__}", (kind,), {"__setattr__": save})
