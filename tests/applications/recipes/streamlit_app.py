# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
import streamlit
from tornado.httpclient import HTTPClient

# In a thread of Streamlit's.
HTTPClient().fetch(f"http://127.0.0.1:{streamlit.get_option('server.port')}/_stcore/health")
streamlit.write("hello")
