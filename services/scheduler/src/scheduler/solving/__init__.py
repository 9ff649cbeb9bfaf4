"""Solving: running the solver, checking its solution, and diagnosing infeasible problems."""
