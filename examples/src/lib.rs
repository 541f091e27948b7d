//! Short programs for Malstrom in reading order.
