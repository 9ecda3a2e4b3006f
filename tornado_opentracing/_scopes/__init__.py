# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is active: the scopes of the scope manager, and what is known of the request that some code runs for.

Knows neither spans nor settings, only that there are some. ``scope_manager`` and everybody above come here.
"""
