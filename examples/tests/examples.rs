//! Every example runs, and what it asserts holds.

use std::process::Command;

fn run(program: &str) {
    let output = Command::new(program).output().expect("the example is built beside its test");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} failed\n{stdout}\n{stderr}");
    assert!(!stdout.is_empty(), "{program} shows what it does");
}

macro_rules! examples {
    ($($name:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            run(env!(concat!("CARGO_BIN_EXE_", stringify!($name))));
        }
    )+};
}

examples!(
    hello_stream,
    keyed_state,
    split_and_union,
    custom_operator,
    custom_source_and_sink,
    windowed_top_words,
    sessions,
    clicks_and_purchases,
    enrich,
    rescale,
    suspend_and_resume,
);
