//! What the operator's manifests say about the images, held against what the images are.

use moorage_images::contents::{OPERATOR, REGISTRY_SERVER};

#[test]
fn the_manifests_name_the_images_of_this_version() {
    let deployment = include_str!("../../operator/deploy/deployment.yaml");
    let image = format!("image: {OPERATOR}");
    assert!(
        deployment.lines().any(|line| line.trim() == image),
        "no line `{image}`"
    );

    let settings = include_str!("../../operator/deploy/settings.env");
    let setting = format!("MOORAGE_SERVER_IMAGE={REGISTRY_SERVER}");
    assert!(
        settings.lines().any(|line| line == setting),
        "no line `{setting}`"
    );
}
