"""The `temporalio` package that a workflow sees inside the sandbox.

It has the names and the behaviour of what workflows use of Temporal's Python SDK, over the imports of a Mainspring
guest. What belongs outside of a workflow (the client, the worker, the test environment) is only there by name: see
`mainspring_guest.unavailable`.
"""
