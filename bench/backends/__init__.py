"""One file per library, each in its fastest configuration known here; its interface is prepare(work) -> run() -> answer."""
