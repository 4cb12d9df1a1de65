"""Unmodified client programs and libraries at both doors of three real nodes."""
