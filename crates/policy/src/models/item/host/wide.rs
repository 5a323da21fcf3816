//! Loops compiled for the vectors of the processor that they run on.

/// Defines functions whose bodies are compiled for each width of vectors, of which the widest that the
/// processor has is chosen at run time. What a body calls in its loops is `#[inline(always)]`.
macro_rules! wide {
    ($(
        $(#[$about:meta])*
        $vis:vis fn $name:ident<$life:lifetime>($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? $body:block
    )*) => {$(
        $(#[$about])*
        $vis fn $name<$life>($($arg: $kind),*) $(-> $out)? {
            struct Call<$life> { $($arg: $kind),* }
            impl pulp::WithSimd for Call<'_> {
                type Output = wide!(@output $($out)?);
                #[allow(clippy::inline_always, reason = "or the loops are compiled for the narrowest vectors")]
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
                    let Self { $($arg),* } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Call { $($arg),* })
        }
    )*};
    (@output) => { () };
    (@output $out:ty) => { $out };
}

pub(in super::super) use wide;
