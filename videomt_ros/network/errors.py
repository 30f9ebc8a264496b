"""The one exception that loading, fetching and saving of weights raises."""


class CheckpointError(ValueError):
    """
    Say that a checkpoint cannot be used.

    The message is one sentence that names the file or hub id, what was found there and what was
    expected.
    """
