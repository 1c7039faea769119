"""What a translation composes, tried in shapes alone, and what only the trial settles."""
