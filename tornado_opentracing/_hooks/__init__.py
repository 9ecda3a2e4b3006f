# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done to Tornado, a module for each thing that is hooked; ``table`` lists the patches.

A hook finds out what happened and tells the span; it records nothing itself. Only ``_install`` and ``_tracing``, and
the viewer for its own requests, come here.
"""
