"""``python -m tornado_opentracing app.py``: run a program traced, with the viewer beside it."""

from tornado_opentracing._command import main

if __name__ == "__main__":
    main()
