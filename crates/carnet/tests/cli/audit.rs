//! `carnet audit` where there is no log. Logs of a running server are tested with the server.

use crate::sandbox::Sandbox;

#[test]
fn without_a_log_there_is_nothing_to_show_or_verify() {
    let sandbox = Sandbox::new();
    let place = format!(
        "there is no log in `{}`",
        sandbox.state().join("audit").display()
    );
    for line in [
        "audit show",
        "audit show rec_1",
        "audit show --json",
        "audit verify",
        "audit verify --json",
    ] {
        sandbox
            .run(line)
            .complains(&[&place, "carnet serve", "--state DIR"]);
    }
    assert!(!sandbox.state().exists(), "reading makes nothing");
}

#[test]
fn verifying_needs_the_public_key() {
    let sandbox = Sandbox::new();
    sandbox
        .write("log/checkpoint", "")
        .write("log.pub", "no key\n");
    sandbox
        .run("audit verify log --key nowhere.pub")
        .complains(&["cannot read it", "--> nowhere.pub", "help: "]);
    sandbox
        .run("audit verify log --key log.pub")
        .complains(&["`log.pub`: ", "help: name the log's public key"]);
}
