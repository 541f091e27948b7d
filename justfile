# What is done often. `just check` is what CI runs, after the tests.

set shell := ["bash", "-euo", "pipefail", "-c"]

# Lists the recipes.
default:
    @just --list

# All that has to hold besides the tests: form, lints, docs, dependencies, boundaries.
check: fmt-check clippy docs doctest unused dependencies boundaries instructions fresh

# Formats all code.
fmt:
    cargo fmt --all
    cargo fmt --all --manifest-path benches/Cargo.toml

# Runs all tests, each with a limit on hanging, and the examples in the docs.
test: doctest
    cargo nextest run --workspace --locked

# Runs the main example.
wordcount *arguments:
    cargo run --release --locked --bin wordcount -- {{ arguments }}

# Kills the main example at so many random moments and compares what it counted.
kills n="300":
    MALSTROM_KILLS={{ n }} cargo test --release --locked --package malstrom-examples --test wordcount -- --nocapture --exact kills::killed_at_random_moments

# Fuzzes every decoder for so many seconds. Needs a nightly compiler and `cargo install cargo-fuzz`.
fuzz seconds="120":
    malstrom-core/fuzz/run {{ seconds }}

# Runs so many seeds of the simulator, with marks on rare branches: `just simulate 10000`.
simulate seeds="2000" start="0":
    cargo run --release --locked --package malstrom-core --features marks --example simulate -- {{ seeds }} {{ start }}

# They begin at the time in seconds, which is printed; each that fails says how to run it again.
#
# Runs seeds that nobody has run before, for so many seconds on one core.
fresh seconds="30":
    cargo build --release --locked --package malstrom-core --features marks --example simulate
    "${CARGO_TARGET_DIR:-target}/release/examples/simulate" 1000000 "$(date +%s)000000" seconds={{ seconds }}

# Runs again a plan that has failed: `just replay target/simulate/SEED-SHAPE.json`.
replay plan:
    cargo run --release --locked --package malstrom-core --example simulate -- {{ plan }}

# Fails if one is not noticed.
#
# Breaks the engine on purpose, on all cores, and says which check of the simulator notices and after how many seeds.
mutants seeds="4000":
    cargo run --release --locked --package malstrom-core --features mutants --example mutants -- {{ seeds }}

# Measures Malstrom beside hand-written programs and the peers, and writes tables and plots into `benches/results`:
# `just bench W1 W3 --runs 5 --scale 0.1`. The first build takes minutes. Nothing else should run meanwhile.
bench *arguments:
    cd benches && cargo build --release --locked --package malstrom-contenders --package malstrom-bench
    cd benches && cargo run --quiet --release --locked --package malstrom-bench -- {{ arguments }}

# Runs one NEXMark query and tells how it went: `just nexmark q5 --events 5000000 --workers 2 --rate 100000 --rescale 2s:4`.
nexmark query *arguments:
    cd benches && cargo run --quiet --release --locked --package malstrom-nexmark -- run {{ query }} {{ arguments }}

# Runs all NEXMark queries on Malstrom and on the peers in turn, and writes the table into `benches/results/nexmark.md`.
nexmark-all *arguments:
    cd benches && cargo run --quiet --release --locked --package malstrom-nexmark -- all {{ arguments }}

# Installs DuckDB into a folder of its own, the first time.
#
# Compares what comes out of NEXMark queries with what DuckDB answers from the same events: `just nexmark-check q5 q8`.
nexmark-check *arguments:
    benches/nexmark/check {{ arguments }}

# Rescales, suspends and kills NEXMark queries under load, and compares their output with that of a quiet run.
nexmark-survives:
    cd benches && cargo test --release --locked --package malstrom-nexmark --test survives

# Counts instructions of the hot path and compares them with the last commit on main. `--update` writes the baseline.
instructions *arguments:
    benches/instructions/check {{ arguments }}

# Looks for known faults in dependencies. Fetches the advisory database, so it stands apart from `check`.
advisories:
    cargo deny --all-features check advisories

[private]
fmt-check:
    cargo fmt --all --check
    cargo fmt --all --check --manifest-path benches/Cargo.toml

[private]
clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --package malstrom-runtime --all-targets --features aws,gcp,azure --locked -- -D warnings

[private]
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

[private]
doctest:
    cargo test --workspace --doc --locked

# Dependencies that nothing uses.
[private]
unused:
    cargo machete

# Licences, duplicates and sources of dependencies, see deny.toml.
[private]
dependencies:
    cargo deny --all-features check --hide-inclusion-graph licenses bans sources

# Core is deterministic: what brings threads, sockets or files is not in its tree.
[private]
boundaries:
    @tree=$(cargo tree --package malstrom-core --edges normal --prefix none --locked); \
    if grep -E '^(tokio|flume|object_store|async-std|smol|mio|rand|getrandom) ' <<< "$tree"; then \
        echo 'malstrom-core must not depend on the crates above: what they do belongs into malstrom-runtime.' >&2; \
        exit 1; \
    fi
