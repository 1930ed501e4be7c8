//! The repository's own registry: it must be free of mistakes and survive being packed.

mod common;

use carnet_provenance::Registry;

#[test]
fn the_registry_has_no_mistakes_and_survives_packing() {
    let registry = common::registry();
    assert!(
        registry.models().count() > 0
            && registry.producers().count() > 0
            && registry.hosts().count() > 0
    );
    let blob = registry.to_blob();
    let again = Registry::from_blob(&blob).unwrap();
    assert_eq!(again.version(), registry.version());
    assert_eq!(again.to_blob(), blob);
    println!(
        "{} models, {} bytes packed",
        registry.models().count(),
        blob.len()
    );
}
