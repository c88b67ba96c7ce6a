"""Where networks look: against objects, against the teacher, head by head."""
