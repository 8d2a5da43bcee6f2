"""One instrumented pass over a network: ReLU codes, features and the tangent kernel from one pass."""
