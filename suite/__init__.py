"""The suite runs backends, judges them and shows it: a tower, each package on those below it."""
