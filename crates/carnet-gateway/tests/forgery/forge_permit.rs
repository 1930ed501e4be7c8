//! A permit has private fields: only a decision makes one.

fn forge(target: carnet_policy::Target, verdict: std::sync::Arc<carnet_policy::Verdict>) -> carnet_policy::Permit {
    carnet_policy::Permit { target, verdict }
}

fn main() {}
