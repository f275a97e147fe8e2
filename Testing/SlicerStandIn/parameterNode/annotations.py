"""What stands in `Annotated[...]`: validators, default, hints for the widget."""

import copy
import typing


class Validator:
    """Base of the validators: `validate` raises ValueError."""

    def validate(self, value):
        raise NotImplementedError("a validator has to say what it accepts")


class NotNone(Validator):
    def validate(self, value):
        if value is None:
            raise ValueError("Value must not be None")


class IsInstance(Validator):
    def __init__(self, classtype):
        self.classtype = classtype

    def validate(self, value):
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(
                f"Value must be of type '{self.classtype}', is type '{type(value)}' value '{value}'"
            )


class Minimum(Validator):
    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value):
        if not value >= self.minimum:
            raise ValueError(f"Value must be greater than or equal to {self.minimum}, is {value}")


class Maximum(Validator):
    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value):
        if not value <= self.maximum:
            raise ValueError(f"Value must be less than or equal to {self.maximum}, is {value}")


class WithinRange(Validator):
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Choice(Validator):
    def __init__(self, choices):
        self.choices = choices

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value}")


class Exclude(Validator):
    def __init__(self, excluded):
        self.excluded = excluded

    def validate(self, value):
        if value in self.excluded:
            raise ValueError(f"Value must not be one of {self.excluded}, is {value}")


class Decimals:
    def __init__(self, value):
        self.value = value


class SingleStep:
    def __init__(self, value):
        self.value = value


class Label:
    def __init__(self, value):
        self.value = value


class Default:
    """Default of a field: a value, or a function that makes one."""

    def __init__(self, value=None, generator=None):
        self._value, self.generator = value, generator

    @property
    def value(self):
        return self.generator() if self.generator else copy.deepcopy(self._value)


def split(hint):
    """Plain type and annotations of a type hint."""
    if typing.get_origin(hint) is typing.Annotated:
        return typing.get_args(hint)[0], list(typing.get_args(hint)[1:])
    return hint, []


def first(annotations, kind):
    return next((a for a in annotations if isinstance(a, kind)), None)
