"""The program's exit codes and their meanings."""

DONE = 0
PROBLEMS = 1
USAGE = 2
ROLLED_BACK = 3
NOT_VERIFIED = 4
REFUSED = 5
DIFFERENT = 6
#: After Ctrl-C, as shells have it: 128 and the number of the signal.
INTERRUPTED = 130

MEANINGS = {
    DONE: "done, or nothing to do",
    PROBLEMS: "problems found, or failed with nothing changed",
    USAGE: "wrong usage of the command line",
    ROLLED_BACK: "rolled back and verified: the host is as before",
    NOT_VERIFIED: "rolled back, but verification failed: manual action required",
    REFUSED: "refused; nothing was changed",
    DIFFERENT: "differences found (with --exit-code or --check, and with kvmnet fleet)",
}
