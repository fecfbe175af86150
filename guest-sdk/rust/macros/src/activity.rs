//! `#[activity]`: a function without a body becomes one that makes an `Activity`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, FnArg, LitStr, Pat, ReturnType, Signature, Token, Type, Visibility,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

/// `fn name(…) -> T;`: what the compiler's own grammar has, but syn has no item for.
struct Stub {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
}

impl Parse for Stub {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !is_function(input) {
            return Err(
                input.error("`#[activity]` goes above a function without a body: `fn charge(amount: f64) -> String;`")
            );
        }
        let signature = input.parse()?;
        if !input.peek(Token![;]) {
            let message =
                "an activity's code lives in a worker, not here: end the declaration with `;` instead of a body";
            return Err(input.error(message));
        }
        input.parse::<Token![;]>()?;
        Ok(Self { attributes, visibility, signature })
    }
}

fn is_function(input: ParseStream<'_>) -> bool {
    input.peek(Token![fn]) || (input.peek(Token![async]) && input.peek2(Token![fn]))
}

pub fn expand(name: Option<LitStr>, item: TokenStream) -> syn::Result<TokenStream> {
    let Stub { attributes, visibility, signature } = syn::parse2(item)?;
    if let Some(lifetime) = signature.generics.type_params().next() {
        return Err(syn::Error::new(lifetime.span(), "an activity has no generic types"));
    }
    let result = result_type(&signature.output)?;
    let mut arguments = Vec::new();
    for input in &signature.inputs {
        let FnArg::Typed(argument) = input else {
            return Err(syn::Error::new(input.span(), "an activity is a free function: it has no `self`"));
        };
        let Pat::Ident(pattern) = &*argument.pat else {
            return Err(syn::Error::new(argument.pat.span(), "an argument of an activity is a plain name"));
        };
        let ident = &pattern.ident;
        arguments.push(quote_spanned!(argument.ty.span()=> .arg(#ident)));
    }
    let (ident, generics, inputs) = (&signature.ident, &signature.generics, &signature.inputs);
    // With the place of the type, where the compiler then says that it cannot be read.
    let make = quote_spanned!(result.span()=> ::mainspring_workflow::activity::<#result>);
    let name = name.unwrap_or_else(|| LitStr::new(&ident.unraw().to_string(), ident.span()));
    Ok(quote! {
        #(#attributes)*
        #visibility fn #ident #generics (#inputs) -> ::mainspring_workflow::Activity<#result> {
            #make(#name) #(#arguments)*
        }
    })
}

fn result_type(output: &ReturnType) -> syn::Result<TokenStream> {
    let ReturnType::Type(_, kind) = output else {
        return Ok(quote_spanned!(Span::call_site()=> ()));
    };
    if let Type::Path(path) = &**kind
        && path.path.segments.last().is_some_and(|segment| segment.ident == "Result")
    {
        let message =
            "declare what the activity gives when it succeeds, `-> T`; awaiting it gives `Result<T, ActivityError>`";
        return Err(syn::Error::new(kind.span(), message));
    }
    Ok(quote!(#kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        expand(None, item).unwrap_err().to_string()
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
        expand(
            None,
            quote!(
                pub async fn send(to: &str, subject: String);
            ),
        )
        .unwrap();
    }
}
