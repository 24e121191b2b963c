"""Rolling the service out on Kubernetes, with kubectl."""


class Refused(Exception):  # noqa: N818 - it is no mistake of ours
    """Nothing was begun, or it was undone; the message says why, and what to do."""
