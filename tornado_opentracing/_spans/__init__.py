"""What is recorded: the lifecycle of a span, that of a request and of a fetch, their tags, names and headers.

Knows what a request and a response are, but nothing of patches. The hooks and ``_tracing`` come here.
"""
