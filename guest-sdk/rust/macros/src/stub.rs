//! Functions without a body: `fn name(…) -> T;`, which declare what is implemented elsewhere.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, FnArg, LitStr, Pat, ReturnType, Signature, Token, Type, Visibility,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

/// What a stub stands for.
pub struct Kind {
    /// The attribute, as it is written.
    pub attribute: &'static str,
    /// With its article.
    pub name: &'static str,
    /// A declaration to show.
    pub example: &'static str,
    /// Why there is no body.
    pub elsewhere: &'static str,
    /// What awaiting it gives.
    pub error: &'static str,
    /// Makes the builder, of the result's type: the SDK's function of this name.
    pub function: &'static str,
    /// The builder's type.
    pub builder: &'static str,
    /// The name on the wire, of the function's name.
    pub wire_name: fn(&syn::Ident) -> String,
}

/// What the compiler's own grammar has, but syn has no item for.
struct Stub {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
}

impl Kind {
    fn parse(&self, input: ParseStream<'_>) -> syn::Result<Stub> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !is_function(input) {
            let message = format!("`{}` goes above a function without a body: `{}`", self.attribute, self.example);
            return Err(input.error(message));
        }
        let signature = Signature::parse(input)?;
        if !input.peek(Token![;]) {
            return Err(input.error(format!("{}: end the declaration with `;` instead of a body", self.elsewhere)));
        }
        input.parse::<Token![;]>()?;
        Ok(Stub { attributes, visibility, signature })
    }

    pub fn expand(&self, name: Option<LitStr>, item: TokenStream) -> syn::Result<TokenStream> {
        let parser = |input: ParseStream<'_>| self.parse(input);
        let Stub { attributes, visibility, signature } = syn::parse::Parser::parse2(parser, item)?;
        if let Some(parameter) = signature.generics.type_params().next() {
            return Err(syn::Error::new(parameter.span(), format!("{} has no generic types", self.name)));
        }
        let result = self.result_type(&signature.output)?;
        let mut arguments = Vec::new();
        for input in &signature.inputs {
            let FnArg::Typed(argument) = input else {
                let message = format!("{} is a free function: it has no `self`", self.name);
                return Err(syn::Error::new(input.span(), message));
            };
            let Pat::Ident(pattern) = &*argument.pat else {
                let message = format!("an argument of {} is a plain name", self.name);
                return Err(syn::Error::new(argument.pat.span(), message));
            };
            let ident = &pattern.ident;
            arguments.push(quote_spanned!(argument.ty.span()=> .arg(#ident)));
        }
        let (ident, generics, inputs) = (&signature.ident, &signature.generics, &signature.inputs);
        let function = syn::Ident::new(self.function, Span::call_site());
        let builder = syn::Ident::new(self.builder, Span::call_site());
        // With the place of the type, where the compiler then says that it cannot be read.
        let make = quote_spanned!(result.span()=> ::mainspring_workflow::#function::<#result>);
        let name = name.unwrap_or_else(|| LitStr::new(&(self.wire_name)(ident), ident.span()));
        Ok(quote! {
            #(#attributes)*
            #visibility fn #ident #generics (#inputs) -> ::mainspring_workflow::#builder<#result> {
                #make(#name) #(#arguments)*
            }
        })
    }

    fn result_type(&self, output: &ReturnType) -> syn::Result<TokenStream> {
        let ReturnType::Type(_, kind) = output else {
            return Ok(quote_spanned!(Span::call_site()=> ()));
        };
        if let Type::Path(path) = &**kind
            && path
                .path
                .segments
                .last()
                .is_some_and(|segment| segment.ident == "Result" || segment.ident == "WorkflowResult")
        {
            let message = format!(
                "declare what {} gives when it succeeds, `-> T`; awaiting it gives `Result<T, {}>`",
                self.name, self.error
            );
            return Err(syn::Error::new(kind.span(), message));
        }
        Ok(quote!(#kind))
    }
}

fn is_function(input: ParseStream<'_>) -> bool {
    input.peek(Token![fn]) || (input.peek(Token![async]) && input.peek2(Token![fn]))
}
