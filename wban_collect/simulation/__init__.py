"""Simulated chips below the real drivers, and the simulated people who wear them."""
