//! A cleared request is moved by sending it: there is no second time.

fn send(cleared: carnet_gateway::Cleared) {
    drop(cleared);
}

fn twice(cleared: carnet_gateway::Cleared) {
    send(cleared);
    send(cleared);
}

fn main() {}
