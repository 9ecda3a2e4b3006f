# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What was asked for: the options, and which tracer and options count where.

Knows nothing of spans. Everybody above comes here.
"""
