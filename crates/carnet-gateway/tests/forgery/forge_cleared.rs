//! A cleared request has private fields: only the screening stage makes one.

fn forge(permit: carnet_policy::Permit) -> carnet_gateway::Cleared {
    carnet_gateway::Cleared { permit, body: Default::default(), stream: false }
}

fn main() {}
