# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is recorded: the lifecycle of a span, that of a request and of a fetch, their tags, names and headers.

Knows what a request and a response are, but nothing of patches. The hooks and ``_tracing`` come here.
"""
