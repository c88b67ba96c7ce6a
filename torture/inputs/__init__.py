"""Bad inputs by kind; each file is a table of rows."""
