"""What happens inside a task. Operators import it when they execute, never when a DAG file is parsed."""
