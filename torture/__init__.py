"""Bad days: what users do wrong, machines that die, long runs."""
