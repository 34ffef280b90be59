"""Where programs run that nobody has read: generated code, and the code that checks it.

`finding.find` gives the jail of this machine (bubblewrap, podman, docker), `running.run` runs one command in it, and
`checking.check` tests a Python program from a second jail, which the program cannot reach. What holds and what does not
is told in docs/security.md; tests/sandbox attacks it.
"""
