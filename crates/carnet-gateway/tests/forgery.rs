//! Forging a permit or a cleared request, or spending one twice, does not compile.

#[test]
fn permits_can_be_neither_forged_nor_spent_twice() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/forgery/*.rs");
}
