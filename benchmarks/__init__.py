"""Speed and memory, measured against targets: `benchmarks/run` writes docs/benchmarks.md."""
