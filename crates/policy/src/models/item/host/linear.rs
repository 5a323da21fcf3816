//! A matrix with its bias, and its backward pass.
//!
//! ```text
//! y = x · Wᵀ + b      dW += dyᵀ · x      db += Σ dy      dx = dy · W
//! ```
//! Biases are added by what comes after, which walks over `y` anyway. The product forward reads `Wᵀ`, which is
//! written once a step (`turn`): a product would do so for each block.

use super::layout::Linear;
use super::products::{self, Matrix};
use super::sums;
use super::wide::wide;

impl Linear {
    /// `y = x · Wᵀ`, without the bias: `[m, inputs]` to `[m, outputs]`.
    pub(super) fn forward(self, turned: &[f32], x: &[f32], y: &mut [f32]) {
        let matrix = Matrix::new(self.weight.of(turned), self.outputs);
        products::set(y, Matrix::new(x, self.inputs), matrix);
    }

    /// Writes `Wᵀ` where `W` is in an array of the same layout.
    pub(super) fn turn(self, weights: &[f32], turned: &mut [f32]) {
        let turned = self.weight.of_mut(turned);
        for (output, row) in self.weight.of(weights).chunks_exact(self.inputs).enumerate() {
            let column = turned[output..].iter_mut().step_by(self.outputs);
            column.zip(row).for_each(|(turned, value)| *turned = *value);
        }
    }

    /// Adds the derivatives by matrix and bias, given what came in and `dy`.
    pub(super) fn learn(self, gradients: &mut [f32], x: &[f32], dy: &[f32]) {
        let (x, by_output) = (Matrix::new(x, self.inputs), Matrix::new(dy, self.outputs).turned());
        products::add(self.weight.of_mut(gradients), by_output, x);
        add_rows(dy, self.bias.of_mut(gradients));
    }

    /// `dx = dy · W`.
    pub(super) fn back(self, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
        products::set(dx, Matrix::new(dy, self.outputs), self.matrix(weights));
    }

    /// `dx += dy · W`.
    pub(super) fn back_add(self, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
        products::add(dx, Matrix::new(dy, self.outputs), self.matrix(weights));
    }

    fn matrix(self, weights: &[f32]) -> Matrix<'_> {
        Matrix::new(self.weight.of(weights), self.inputs)
    }
}

wide! {
    /// Adds a vector to each row.
    pub(super) fn add_to_rows<'a>(bias: &'a [f32], x: &'a mut [f32]) {
        for x in x.chunks_exact_mut(bias.len()) {
            sums::add(x, 1.0, bias);
        }
    }

    /// Adds the sum of the rows.
    pub(super) fn add_rows<'a>(x: &'a [f32], sum: &'a mut [f32]) {
        for x in x.chunks_exact(sum.len()) {
            sums::add(sum, 1.0, x);
        }
    }

    /// `out += x`.
    pub(super) fn add_all<'a>(x: &'a [f32], out: &'a mut [f32]) {
        sums::add(out, 1.0, x);
    }
}
