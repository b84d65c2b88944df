"""The transaction: steps with do and undo, journalled, undone by the rescue program."""
