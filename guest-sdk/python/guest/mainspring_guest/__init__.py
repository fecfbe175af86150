"""A workflow in Python as a guest of Mainspring: what is under the `temporalio` package of this folder.

Start reading at `app.py`, which has the exports of the world in `wit/`; then `run.py`, which is one run: how events
reach it and how it runs until nothing can move. Around it: `loop.py` (the event loop), `operations.py` (activities,
children, timers and messages under way), `handlers.py` (signals, queries, updates), `wire.py` and `failures.py` (WIT's
types and Python's), `unavailable.py` (what a workflow cannot do, and how it is told).
"""
