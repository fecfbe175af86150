//! `#[child_workflow]`: a function without a body becomes one that makes a `ChildWorkflow`.

use crate::{stub::Kind, workflow::pascal_case};

pub const STUB: Kind = Kind {
    attribute: "#[child_workflow]",
    name: "a child workflow",
    example: "fn ship_order(order: Order) -> String;",
    elsewhere: "a child workflow is declared here and written where it is exported",
    error: "ChildWorkflowError",
    function: "child_workflow",
    builder: "ChildWorkflow",
    wire_name: |ident| pascal_case(&ident.to_string()),
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
    fn its_type_is_in_pascal_case_unless_given() {
        let stub = quote!(
            fn ship_order(order: Order) -> String;
        );
        assert!(STUB.expand(None, stub.clone()).unwrap().to_string().contains("\"ShipOrder\""));
        let name = syn::parse_quote!("ship.order");
        assert!(STUB.expand(Some(name), stub).unwrap().to_string().contains("\"ship.order\""));
    }

    #[test]
    fn a_wrong_declaration_is_refused_with_what_is_expected() {
        let body = quote!(
            fn ship_order() -> String {
                String::new()
            }
        );
        assert!(refusal(body).contains("end the declaration with `;`"));
        let result = quote!(
            fn ship_order() -> WorkflowResult<String>;
        );
        assert!(refusal(result).contains("when it succeeds"));
    }
}
