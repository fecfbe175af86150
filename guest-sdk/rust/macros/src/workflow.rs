//! `#[workflow]`: the function stays as it is, and a type of the same name carries what `export!` needs. Functions and
//! types have namespaces of their own, so one `use` brings both along.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{FnArg, ItemFn, LitStr, ReturnType, Type, spanned::Spanned};

pub fn expand(name: Option<LitStr>, item: TokenStream) -> syn::Result<TokenStream> {
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        syn::Error::new(error.span(), format!("`#[workflow]` goes above an `async fn` with a body ({error})"))
    })?;
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(syn::Error::new(signature.fn_token.span, "a workflow is an `async fn`"));
    }
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        return Err(syn::Error::new(signature.generics.span(), "a workflow has no generic parameters"));
    }
    let ReturnType::Type(_, output) = &signature.output else {
        let message = "a workflow returns `WorkflowResult<T>`; `WorkflowResult<()>` where it has no result";
        return Err(syn::Error::new(signature.paren_token.span.close(), message));
    };

    let ident = &signature.ident;
    let mut read = Vec::new();
    let mut arguments = Vec::new();
    let mut parameters = Vec::new();
    let mut sent = Vec::new();
    let mut bounds = Vec::new();
    for (index, input) in signature.inputs.iter().enumerate() {
        let (declaration, kind) = argument(input)?;
        let variable = syn::Ident::new(&format!("argument_{index}"), Span::call_site());
        let next = quote_spanned!(kind.span()=> ::mainspring_workflow::__private::Arguments::next::<#kind>);
        read.push(quote!(let #variable = #next(&mut arguments, #declaration);));
        arguments.push(quote!(#variable?));
        let shown = shown_name(input).unwrap_or_else(|| variable.clone());
        parameters.push(quote!(#shown: #kind));
        sent.push(quote!(.arg(#shown)));
        // The lifetime keeps the compiler from checking it here: who only runs the workflow need not send such values.
        bounds.push(quote!(for<'unchecked> #kind: ::mainspring_workflow::ToPayload,));
    }
    let name = name.unwrap_or_else(|| LitStr::new(&pascal_case(&ident.to_string()), ident.span()));
    let encode = quote_spanned!(output.span()=> ::mainspring_workflow::__private::WorkflowOutput::encode);
    let visibility = &function.vis;
    let unused = arguments.is_empty().then(|| quote!(let _ = input;));
    let reader = (!arguments.is_empty())
        .then(|| quote!(let mut arguments = ::mainspring_workflow::__private::Arguments::new(input);));

    Ok(quote! {
        #function

        #[allow(non_camel_case_types)]
        #[doc(hidden)]
        #visibility struct #ident {}

        #[allow(dead_code)]
        impl #ident {
            /// This workflow as a child of another.
            #visibility fn child(#(#parameters),*) -> ::mainspring_workflow::ChildWorkflow<
                <#output as ::mainspring_workflow::__private::WorkflowOutput>::Value,
            >
            where
                #(#bounds)*
            {
                ::mainspring_workflow::__private::child_of_type(#name) #(#sent)*
            }

            /// This workflow, going on in a new run.
            #visibility fn continue_as_new(#(#parameters),*) -> ::mainspring_workflow::ContinueAsNew
            where
                #(#bounds)*
            {
                ::mainspring_workflow::continue_as_new().workflow_type(#name) #(#sent)*
            }
        }

        impl ::mainspring_workflow::Workflow for #ident {
            const NAME: &'static str = #name;

            fn run(
                input: ::std::vec::Vec<::mainspring_workflow::Payload>,
            ) -> ::mainspring_workflow::__private::WorkflowFuture {
                #unused
                #reader
                #(#read)*
                ::std::boxed::Box::pin(async move { #encode(#ident(#(#arguments),*).await) })
            }
        }
    })
}

/// How the argument is declared, for messages, and its type.
fn argument(input: &FnArg) -> syn::Result<(String, &Type)> {
    let FnArg::Typed(argument) = input else {
        return Err(syn::Error::new(input.span(), "a workflow is a free function: it has no `self`"));
    };
    if matches!(&*argument.ty, Type::Reference(_)) {
        let message = "a workflow owns its arguments: take `String` for `&str`, `Vec<T>` for `&[T]`";
        return Err(syn::Error::new(argument.ty.span(), message));
    }
    if matches!(&*argument.ty, Type::ImplTrait(_)) {
        return Err(syn::Error::new(argument.ty.span(), "a workflow's arguments have concrete types"));
    }
    Ok((argument.to_token_stream().to_string().replace(" :", ":"), &argument.ty))
}

/// The argument's name, where it has one.
fn shown_name(input: &FnArg) -> Option<syn::Ident> {
    match input {
        FnArg::Typed(argument) => match &*argument.pat {
            syn::Pat::Ident(pattern) => Some(pattern.ident.clone()),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

/// `order_workflow` → `OrderWorkflow`, as workflow types are usually written.
pub fn pascal_case(name: &str) -> String {
    name.trim_start_matches("r#")
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        expand(None, item).unwrap_err().to_string()
    }

    #[test]
    fn workflow_types_are_in_pascal_case() {
        assert_eq!(pascal_case("order_workflow"), "OrderWorkflow");
        assert_eq!(pascal_case("r#loop"), "Loop");
        assert_eq!(pascal_case("echo"), "Echo");
    }

    #[test]
    fn a_wrong_signature_is_refused_with_what_is_expected() {
        assert_eq!(
            refusal(quote!(
                fn order() -> WorkflowResult<()> {}
            )),
            "a workflow is an `async fn`"
        );
        assert!(
            refusal(quote!(
                async fn order() {}
            ))
            .contains("returns `WorkflowResult<T>`")
        );
        assert!(
            refusal(quote!(
                async fn order(&self) -> WorkflowResult<()> {}
            ))
            .contains("no `self`")
        );
        assert!(
            refusal(quote!(
                async fn order(name: &str) -> WorkflowResult<()> {}
            ))
            .contains("take `String`")
        );
        assert!(
            refusal(quote!(
                async fn order(name: impl X) -> WorkflowResult<()> {}
            ))
            .contains("concrete types")
        );
        assert!(
            refusal(quote!(
                async fn order<T>(t: T) -> WorkflowResult<()> {}
            ))
            .contains("no generic parameters")
        );
        assert!(
            refusal(quote!(
                struct Order;
            ))
            .contains("above an `async fn`")
        );
    }
}
