//! `#[activity]`: a function without a body becomes one that makes an `Activity`.

use syn::ext::IdentExt;

use crate::stub::Kind;

pub const STUB: Kind = Kind {
    attribute: "#[activity]",
    name: "an activity",
    example: "fn charge(amount: f64) -> String;",
    elsewhere: "an activity's code lives in a worker, not here",
    error: "ActivityError",
    function: "activity",
    builder: "Activity",
    wire_name: |ident| ident.unraw().to_string(),
};

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use super::*;

    fn refusal(item: TokenStream) -> String {
        STUB.expand(None, item).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_declaration_is_refused_with_what_is_expected() {
        assert!(
            refusal(quote!(
                fn charge(amount: f64) -> String {
                    todo!()
                }
            ))
            .contains("end the declaration with `;`")
        );
        assert!(
            refusal(quote!(
                fn charge() -> Result<String, Error>;
            ))
            .contains("when it succeeds")
        );
        assert!(
            refusal(quote!(
                fn charge(&self) -> String;
            ))
            .contains("no `self`")
        );
        assert!(
            refusal(quote!(
                fn charge((a, b): (i32, i32));
            ))
            .contains("a plain name")
        );
        assert!(
            refusal(quote!(
                fn charge<T>(t: T);
            ))
            .contains("no generic types")
        );
        assert!(
            refusal(quote!(
                struct Charge;
            ))
            .contains("a function without a body")
        );
    }

    #[test]
    fn async_and_borrowed_arguments_are_fine() {
        STUB.expand(
            None,
            quote!(
                pub async fn send(to: &str, subject: String);
            ),
        )
        .unwrap();
    }
}
