# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at ``tornado.template.Template``: a span for each time that one is generated, if asked for."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from opentracing import tags
from tornado.template import Template

from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._settings.current import current_config
from tornado_opentracing._spans import lifecycle
from tornado_opentracing._spans.tags import COMPONENT

NAME = "template.name"
PATH = "template.path"

#: Where a template keeps the folder that its loader found it in, which Tornado forgets.
_ROOT = "_tornado_opentracing_root"


def _init_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Template, template_string: str | bytes, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, template_string, *args, **kwargs)
        loader = args[1] if len(args) > 1 else kwargs.get("loader")
        root = getattr(loader, "root", None) if layer.enabled else None
        if isinstance(root, str):
            setattr(self, _ROOT, root)

    return __init__


def _generate_hook(original: Callable[..., bytes], layer: Layer) -> Callable[..., bytes]:
    @functools.wraps(original)
    def generate(self: Template, **kwargs: Any) -> bytes:
        config = current_config() if layer.enabled else None
        if config is None or not config.options.trace_templates:
            return original(self, **kwargs)
        state = lifecycle.start(
            lifecycle.SpanLifecycle, config, config.tracer, f"render {self.name}", _tags(self), None, False
        )
        if state is None:
            return original(self, **kwargs)
        scope = lifecycle.activate(state.tracer, state.span)
        try:
            return original(self, **kwargs)
        except BaseException as error:
            state.fail(error)
            raise
        finally:
            lifecycle.close(scope)
            state.finish(None, None)

    return generate


def _tags(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = {tags.COMPONENT: COMPONENT, NAME: template.name}
    root: str | None = getattr(template, _ROOT, None)
    if root is not None:
        found[PATH] = os.path.join(root, template.name)
    return found


HOOKS = [Patch(Template, "__init__", _init_hook), Patch(Template, "generate", _generate_hook)]
