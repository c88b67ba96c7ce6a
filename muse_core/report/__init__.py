"""Runs the numbered notebooks and turns them into pages that stay interactive without a kernel."""
