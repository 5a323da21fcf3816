//! The products of the shop, numbered and named.

use super::law::{Kind, Product};
use super::words::{DEPARTMENTS, NUM_KINDS, NUM_STEPS, NUM_STYLES, STYLES};

/// Every product, by kind and style.
pub(super) fn every_product() -> impl Iterator<Item = Product> {
    (0..NUM_KINDS)
        .flat_map(|index| (0..NUM_STYLES).map(move |style| Product { kind: kind(index), style }))
}

/// The product as an index, in the order of [`every_product`].
pub(super) const fn number(product: Product) -> usize {
    product.kind.index() * NUM_STYLES + product.style
}

/// Department, kind and style by name.
pub(super) fn categories(product: Product) -> [String; 3] {
    let (department, series) = DEPARTMENTS[product.kind.department];
    let kind = series[product.kind.step].replace(' ', "-");
    [department.to_owned(), kind, STYLES[product.style].0.to_owned()]
}

/// The kind of this number.
pub(super) const fn kind(index: usize) -> Kind {
    Kind { department: index / NUM_STEPS, step: index % NUM_STEPS }
}
