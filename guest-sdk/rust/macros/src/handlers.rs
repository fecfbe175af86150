//! `#[handlers]`: the methods of a workflow's state become its message handlers.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Expr, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Lit, LitStr, Meta, Type, ext::IdentExt,
    spanned::Spanned,
};

#[derive(Clone, Copy, PartialEq)]
enum Message {
    Query,
    Signal,
    Update,
}

/// `#[query]`, `#[signal]`, `#[update]`, and what stands in their brackets.
struct Options {
    message: Message,
    name: Option<LitStr>,
    validator: Option<Ident>,
}

/// How a method gets at the state.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Reads,
    Changes,
    Shares,
}

pub fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let mut block: ItemImpl = syn::parse2(item).map_err(|error| {
        syn::Error::new(error.span(), format!("`#[handlers]` goes above an `impl` block ({error})"))
    })?;
    if let Some((_, path, _)) = &block.trait_ {
        return Err(syn::Error::new(
            path.span(),
            "`#[handlers]` goes above the `impl` block of a type, not of a trait",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(syn::Error::new(block.generics.span(), "the state of a workflow has no generic parameters"));
    }
    let mut registrations = Vec::new();
    for item in &mut block.items {
        if let ImplItem::Fn(method) = item
            && let Some(options) = take_options(&mut method.attrs)?
        {
            registrations.push(registration(method, options)?);
        }
    }
    if registrations.is_empty() {
        let message = "nothing is marked with `#[query]`, `#[signal]` or `#[update]`";
        return Err(syn::Error::new(block.self_ty.span(), message));
    }
    let kind = &block.self_ty;
    Ok(quote! {
        #block

        impl ::mainspring_workflow::Handlers for #kind {
            fn register(self) -> ::mainspring_workflow::Shared<Self> {
                let shared = ::std::rc::Rc::new(::std::cell::RefCell::new(self));
                #(#registrations)*
                shared
            }
        }
    })
}

/// Takes the attribute out, as the compiler knows nothing of it.
fn take_options(attributes: &mut Vec<Attribute>) -> syn::Result<Option<Options>> {
    let message = |attribute: &Attribute| match () {
        _ if attribute.path().is_ident("query") => Some(Message::Query),
        _ if attribute.path().is_ident("signal") => Some(Message::Signal),
        _ if attribute.path().is_ident("update") => Some(Message::Update),
        _ => None,
    };
    let Some((index, message)) =
        attributes.iter().enumerate().find_map(|(index, attribute)| Some((index, message(attribute)?)))
    else {
        return Ok(None);
    };
    let attribute = attributes.remove(index);
    let mut options = Options { message, name: None, validator: None };
    if matches!(attribute.meta, Meta::Path(_)) {
        return Ok(Some(options));
    }
    attribute.parse_nested_meta(|meta| {
        if meta.path.is_ident("name") {
            options.name = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("validator") && message == Message::Update {
            options.validator = Some(meta.value()?.parse()?);
        } else {
            let allowed = if message == Message::Update { " and `validator = method`" } else { "" };
            return Err(meta.error(format!("the options are `name = \"…\"`{allowed}")));
        }
        Ok(())
    })?;
    Ok(Some(options))
}

fn registration(method: &ImplItemFn, options: Options) -> syn::Result<TokenStream> {
    let signature = &method.sig;
    let ident = &signature.ident;
    let state = state_of(method, options.message)?;
    let mut inputs = signature.inputs.iter();
    inputs.next();
    let types: Vec<&Type> = inputs
        .map(|input| match input {
            FnArg::Typed(argument) => Ok(&*argument.ty),
            FnArg::Receiver(receiver) => Err(syn::Error::new(receiver.span(), "an argument is expected")),
        })
        .collect::<Result<_, _>>()?;
    let names: Vec<_> = (0..types.len()).map(|index| format_ident!("argument_{index}")).collect();
    let arguments = quote!(#(#names: #types),*);

    let register = match options.message {
        Message::Query => format_ident!("on_query"),
        Message::Signal => format_ident!("on_signal"),
        Message::Update => format_ident!("on_update"),
    };
    let name = options.name.unwrap_or_else(|| LitStr::new(&ident.unraw().to_string(), ident.span()));
    let closure = match (state, signature.asyncness) {
        (State::Reads, _) => quote!(move |#arguments| shared.borrow().#ident(#(#names),*)),
        (State::Changes, _) => quote!(move |#arguments| shared.borrow_mut().#ident(#(#names),*)),
        (State::Shares, None) => quote!(move |#arguments| Self::#ident(shared.clone(), #(#names),*)),
        (State::Shares, Some(_)) => {
            quote!(async move |#arguments| Self::#ident(shared.clone(), #(#names),*).await)
        }
    };
    let description = description(&method.attrs);
    let description = (!description.is_empty()).then(|| quote!(.description(#description)));
    let validator = options.validator.map(|validator| {
        quote! {
            .validator({
                let shared = shared.clone();
                move |#arguments| shared.borrow().#validator(#(#names),*)
            })
        }
    });
    // With the place of the method, where the compiler then says what does not fit.
    let register = quote_spanned!(ident.span()=> ::mainspring_workflow::#register);
    Ok(quote! {
        #register(#name, {
            let shared = shared.clone();
            #closure
        }) #description #validator;
    })
}

fn state_of(method: &ImplItemFn, message: Message) -> syn::Result<State> {
    let signature = &method.sig;
    let share = "takes the state as its first argument: `state: Shared<Self>`";
    let refuse = |message: String| Err(syn::Error::new(signature.ident.span(), message));
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_none() => {
            refuse("a handler borrows the state: `&self` or `&mut self`".into())
        }
        _ if message == Message::Query && signature.asyncness.is_some() => {
            refuse("a query is answered at once: it is not async".into())
        }
        Some(FnArg::Receiver(_)) if signature.asyncness.is_some() => {
            refuse(format!("an async handler would hold the state across its awaits: it {share}"))
        }
        Some(FnArg::Receiver(receiver)) if receiver.mutability.is_none() => Ok(State::Reads),
        _ if message == Message::Query => refuse("a query takes `&self`: it may change nothing".into()),
        Some(FnArg::Receiver(_)) => Ok(State::Changes),
        Some(FnArg::Typed(_)) => Ok(State::Shares),
        None => refuse(format!("a handler takes `&self` or `&mut self`, or {share}")),
    }
}

/// The first paragraph of the documentation.
fn description(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        if let Meta::NameValue(meta) = &attribute.meta
            && meta.path.is_ident("doc")
            && let Expr::Lit(literal) = &meta.value
            && let Lit::Str(line) = &literal.lit
        {
            let line = line.value().trim().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
    }
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        expand(quote!(impl Order { #item })).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_handler_is_refused_with_what_is_expected() {
        let check = |item: TokenStream, expected: &str| {
            let refusal = refusal(item);
            assert!(refusal.contains(expected), "{refusal}");
        };
        check(
            quote!(
                #[query]
                fn a(&mut self) {}
            ),
            "a query takes `&self`",
        );
        check(
            quote!(
                #[query]
                async fn a(&self) {}
            ),
            "a query is answered at once",
        );
        check(
            quote!(
                #[update]
                async fn a(&mut self) {}
            ),
            "it takes the state as its first argument",
        );
        check(
            quote!(
                #[signal]
                fn a(self) {}
            ),
            "a handler borrows the state",
        );
        check(
            quote!(
                #[signal]
                fn a() {}
            ),
            "takes `&self` or `&mut self`",
        );
        check(
            quote!(
                #[signal(validator = b)]
                fn a(&self) {}
            ),
            "the options are `name = \"…\"`",
        );
        check(
            quote!(
                #[update(nmae = "b")]
                fn a(&self) {}
            ),
            "and `validator = method`",
        );
        check(
            quote!(
                fn a(&self) {}
            ),
            "nothing is marked",
        );
    }

    #[test]
    fn it_goes_above_the_methods_of_a_type() {
        let refusal = |item| expand(item).unwrap_err().to_string();
        assert!(
            refusal(quote!(
                struct Order;
            ))
            .contains("goes above an `impl` block")
        );
        assert!(refusal(quote!(impl Clone for Order {})).contains("not of a trait"));
        assert!(
            refusal(quote!(
                impl<T> Order<T> {}
            ))
            .contains("no generic parameters")
        );
    }
}
