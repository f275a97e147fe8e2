"""Imitation of `slicer.parameterNodeWrapper`: typed fields stored in a vtkMRMLScriptedModuleNode."""

from .annotations import (
    Choice,
    Decimals,
    Default,
    Exclude,
    IsInstance,
    Label,
    Maximum,
    Minimum,
    NotNone,
    SingleStep,
    Validator,
    WithinRange,
)
from .connectors import GuiConnector, createGuiConnector, parameterNodeGuiConnector
from .packs import isParameterPack, parameterPack
from .serializers import FloatRange, RangeBounds, Serializer, createSerializer, parameterNodeSerializer
from .wrapper import findChildWidgetForParameter, isParameterNodeWrapper, parameterNodeWrapper

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "FloatRange",
    "GuiConnector",
    "IsInstance",
    "Label",
    "Maximum",
    "Minimum",
    "NotNone",
    "RangeBounds",
    "Serializer",
    "SingleStep",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "createSerializer",
    "findChildWidgetForParameter",
    "isParameterNodeWrapper",
    "isParameterPack",
    "parameterNodeGuiConnector",
    "parameterNodeSerializer",
    "parameterNodeWrapper",
    "parameterPack",
]
