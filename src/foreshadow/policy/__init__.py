"""The guards: rules that stand against a move, on facts that are passed in."""
