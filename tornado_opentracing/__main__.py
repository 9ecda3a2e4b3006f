# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m tornado_opentracing app.py``: run a program traced, with the viewer beside it."""

from tornado_opentracing._command import main

if __name__ == "__main__":
    main()
