"""The rows of a rank: held in memory or streamed, scaled, planned into steps, augmented."""
