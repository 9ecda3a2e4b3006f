# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``__all__`` is what is public: importable, documented, and all that has no underscore."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import types
import typing
from pathlib import Path
from typing import Any

import pytest
from opentracing.mocktracer import MockTracer
from support.pages import PAGES, text_of

import tornado_opentracing

TEXT = "\n".join(map(text_of, PAGES))
#: What stands on the pages of the documentation as code, in a line or in a block.
CODE = "\n".join(map("".join, re.findall(r"^```python\n(.*?)^```$|`([^`\n]+)`", TEXT, re.MULTILINE | re.DOTALL)))

#: Modules whose public names the package offers itself.
MODULES = ["executor", "logs", "scope_manager"]
#: Modules that offer their names themselves: one needs an extra, one is for development.
APART = ["opentelemetry", "viewer"]


def public_names(module: types.ModuleType) -> set[str]:
    """The names without underscore, but for modules."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }


def test_all_is_what_is_public() -> None:
    assert set(tornado_opentracing.__all__) == public_names(tornado_opentracing)
    assert len(set(tornado_opentracing.__all__)) == len(tornado_opentracing.__all__)


def test_a_star_imports_all_and_nothing_else() -> None:
    namespace: dict[str, Any] = {}
    exec("from tornado_opentracing import *", namespace)
    assert namespace.keys() - {"__builtins__"} == set(tornado_opentracing.__all__)


def test_the_modules_without_underscore_are_those_that_are_meant_to_be_public() -> None:
    modules = [module.name for module in pkgutil.iter_modules(tornado_opentracing.__path__)]
    assert {name for name in modules if not name.startswith("_")} == {*MODULES, *APART}


@pytest.mark.parametrize("name", APART)
def test_a_module_apart_offers_what_is_documented(name: str) -> None:
    module = importlib.import_module(f"tornado_opentracing.{name}")
    defined = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    assert {value.__name__ for value in defined} <= set(module.__all__)
    for offered in module.__all__:
        assert re.search(rf"\b{offered}\b", CODE), "on no page"
        assert inspect.getdoc(getattr(module, offered))


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_offers_what_the_package_offers_and_nothing_else(name: str) -> None:
    module = importlib.import_module(f"tornado_opentracing.{name}")
    assert module.__all__
    for offered in module.__all__:
        assert getattr(module, offered) is getattr(tornado_opentracing, offered)
        assert getattr(module, offered).__module__ == module.__name__


@pytest.mark.parametrize("name", tornado_opentracing.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", CODE), "on no page"
    value = getattr(tornado_opentracing, name)
    if isinstance(value, (type, types.FunctionType)) and typing.get_origin(value) is None:  # no alias of a type
        assert inspect.getdoc(value)


@pytest.mark.parametrize(
    "method",
    [
        f"{name}.{method}"
        for name in tornado_opentracing.__all__
        if isinstance(cls := getattr(tornado_opentracing, name), type)
        for method, value in vars(cls).items()
        if not method.startswith("_") and isinstance(value, (types.FunctionType, property, staticmethod))
    ],
)
def test_every_public_method_has_a_docstring(method: str) -> None:
    name, _, attribute = method.partition(".")
    assert inspect.getdoc(inspect.getattr_static(getattr(tornado_opentracing, name), attribute))


def test_a_tracing_shows_nothing_but_what_it_is_for() -> None:
    tracing = tornado_opentracing.TornadoTracing()
    assert [name for name in dir(tracing) if not name.startswith("_")] == ["get_span", "options", "trace", "tracer"]


def test_every_keyword_is_explained_where_an_editor_looks_with_an_example_that_is_taken() -> None:
    docstring = inspect.getdoc(tornado_opentracing.init_tracing) or ""
    explained = re.findall(r"^:param (\w+): .*?Example:\s+``(.*?)``$", docstring, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in explained] == [
        "tracer",
        "start_span_cb",
        *tornado_opentracing.OptionValues.__annotations__,
    ]
    names = {**vars(tornado_opentracing), "MockTracer": MockTracer}
    for name, example in explained:
        given: Any = {name: eval(example, dict(names))}
        assert tornado_opentracing.TornadoTracing(**given)


def test_every_default_that_an_editor_shows_is_the_default() -> None:
    docstring = inspect.getdoc(tornado_opentracing.init_tracing) or ""
    found = [re.match(r"(\w+): .*Default:\s+``(.*?)``", part, re.DOTALL) for part in docstring.split(":param ")[2:]]
    said = {match[1]: match[2] for match in found if match is not None}
    assert list(said) == ["start_span_cb", *tornado_opentracing.OptionValues.__annotations__]
    assert said.pop("operation_name") == '"handler"', "which is None, by which the tracer may have a word"
    for name, default in said.items():
        given: Any = {name: eval(default, dict(vars(tornado_opentracing)))}
        options = tornado_opentracing.TornadoTracing(**given).options
        assert getattr(options, name) == getattr(tornado_opentracing.TornadoTracing().options, name), name


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(tornado_opentracing.__file__).parent / "py.typed").exists()


def test_the_distribution_installs_the_package_and_nothing_else() -> None:
    try:
        files = importlib.metadata.files("tornado-opentracing") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("run from the source tree")
    tops = {file.parts[0] for file in files if file.parts[0] != ".."}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tornado_opentracing"}
    # Where scripts are is beside the packages.
    assert {file.stem for file in files if file.parts[0] == ".."} <= {"tornado-opentracing"}
