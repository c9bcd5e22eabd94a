"""One file per library: prepare(work) -> run() -> answer, each at its best known configuration."""
