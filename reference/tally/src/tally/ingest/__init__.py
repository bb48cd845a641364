"""From events to rows: normalised, stored once, counted in the same transaction."""
