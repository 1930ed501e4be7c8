//! A permit cannot be copied.

fn copy(permit: &carnet_policy::Permit) -> carnet_policy::Permit {
    carnet_policy::Permit::clone(permit)
}

fn main() {}
