"""What every resource stands on: the store, long-running operations, the clock. It knows no resource and no HTTP."""
