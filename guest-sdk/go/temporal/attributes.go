package temporal

import "go.temporal.io/sdk/internal"

type (
	// SearchAttributes are typed values that runs can be found by.
	SearchAttributes = internal.SearchAttributes
	// SearchAttributeUpdate sets or unsets an attribute.
	SearchAttributeUpdate = internal.SearchAttributeUpdate
	// SearchAttributeKey is a name and a type.
	SearchAttributeKey = internal.AnyKey
	// SearchAttributeKeyString is the key of an attribute of the type Text.
	SearchAttributeKeyString = internal.StringKey
	// SearchAttributeKeyKeyword is the key of an attribute of the type Keyword.
	SearchAttributeKeyKeyword = internal.KeywordKey
	// SearchAttributeKeyInt64 is the key of an attribute of the type Int.
	SearchAttributeKeyInt64 = internal.Int64Key
	// SearchAttributeKeyFloat64 is the key of an attribute of the type Double.
	SearchAttributeKeyFloat64 = internal.Float64Key
	// SearchAttributeKeyBool is the key of an attribute of the type Bool.
	SearchAttributeKeyBool = internal.BoolKey
	// SearchAttributeKeyTime is the key of an attribute of the type Datetime.
	SearchAttributeKeyTime = internal.TimeKey
	// SearchAttributeKeyKeywordList is the key of an attribute of the type KeywordList.
	SearchAttributeKeyKeywordList = internal.KeywordListKey
)

// NewSearchAttributes applies updates to none.
func NewSearchAttributes(attributes ...SearchAttributeUpdate) SearchAttributes {
	return internal.NewSearchAttributes(attributes...)
}

// NewSearchAttributeKeyString gives the key of an attribute of the type Text.
func NewSearchAttributeKeyString(name string) SearchAttributeKeyString {
	return internal.NewStringKey(name)
}

// NewSearchAttributeKeyKeyword gives the key of an attribute of the type Keyword.
func NewSearchAttributeKeyKeyword(name string) SearchAttributeKeyKeyword {
	return internal.NewKeywordKey(name)
}

// NewSearchAttributeKeyInt64 gives the key of an attribute of the type Int.
func NewSearchAttributeKeyInt64(name string) SearchAttributeKeyInt64 {
	return internal.NewInt64Key(name)
}

// NewSearchAttributeKeyFloat64 gives the key of an attribute of the type Double.
func NewSearchAttributeKeyFloat64(name string) SearchAttributeKeyFloat64 {
	return internal.NewFloat64Key(name)
}

// NewSearchAttributeKeyBool gives the key of an attribute of the type Bool.
func NewSearchAttributeKeyBool(name string) SearchAttributeKeyBool { return internal.NewBoolKey(name) }

// NewSearchAttributeKeyTime gives the key of an attribute of the type Datetime.
func NewSearchAttributeKeyTime(name string) SearchAttributeKeyTime { return internal.NewTimeKey(name) }

// NewSearchAttributeKeyKeywordList gives the key of an attribute of the type KeywordList.
func NewSearchAttributeKeyKeywordList(name string) SearchAttributeKeyKeywordList {
	return internal.NewKeywordListKey(name)
}
