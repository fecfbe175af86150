"""Messages of Temporal's API that workflow code meets."""
