"""One file per resource with declarations only; `base` submits, waits, defers, cancels and reports."""
