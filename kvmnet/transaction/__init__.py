"""A change as a transaction: its steps and their undo, the worker that carries them out, safeguards and history."""
