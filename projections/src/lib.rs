//! What it looks like: the projector runtime, the read models and their queries.
