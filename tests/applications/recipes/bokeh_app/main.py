# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from bokeh.models import Div
from bokeh.plotting import curdoc

curdoc().add_root(Div(text="hello"))
