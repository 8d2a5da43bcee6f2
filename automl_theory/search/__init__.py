"""Search without training: objectives for anybody's search loop, and algorithms of our own."""
