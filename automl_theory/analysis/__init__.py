"""What a score table says: joins, rankings with intervals, trade-offs. Pandas tables only, never torch."""
