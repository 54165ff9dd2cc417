"""Sans-I/O protocol cores: messages and time come in, `Step`s go out."""
