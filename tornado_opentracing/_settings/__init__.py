"""What was asked for: the options, and which tracer and options count where.

Knows nothing of spans. Everybody above comes here.
"""
