"""What a score table looks like: figures, one offline HTML page, tables in the terminal. Never imports torch."""
