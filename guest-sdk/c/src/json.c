/* JSON values: making, looking into, reading and writing them. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Deepest nesting that is read or written: the stack of a routine has to hold it. */
#define DEPTH_MAX 100

static const char *const TYPE_NAMES[] = {"null", "a boolean", "a number", "a string", "an array", "an object",
                                         "raw bytes", "something unreadable"};

ms_json *ms__new_json(ms_type type) {
    ms_json *value = ms__zeroed(sizeof *value);
    value->type = type;
    return value;
}

static ms_json *text_value(ms_type type, const char *ptr, size_t length) {
    ms_json *value = ms__new_json(type);
    value->text.ptr = ms__copy(ptr, length);
    value->text.length = length;
    return value;
}

static ms_json *owned_text(ms_type type, char *ptr) {
    ms_json *value = ms__new_json(type);
    value->text.ptr = ptr;
    value->text.length = strlen(ptr);
    return value;
}

ms_json *ms_null(void) {
    return ms__new_json(MS_NULL);
}

ms_json *ms_bool(bool boolean) {
    ms_json *value = ms__new_json(MS_BOOL);
    value->boolean = boolean;
    return value;
}

ms_json *ms_int(int64_t integer) {
    return owned_text(MS_NUMBER, ms__format("%lld", (long long)integer));
}

ms_json *ms_number(double number) {
    if (number != number || number - number != 0) return ms_null();
    if (number == 0) return text_value(MS_NUMBER, __builtin_signbit(number) ? "-0.0" : "0.0", __builtin_signbit(number) ? 4 : 3);
    char digits[DIGITS_MAX + 1];
    int exponent = 0;
    int count = ms__shortest(number < 0 ? -number : number, digits, &exponent);
    ms__text text = {0};
    if (number < 0) ms__put(&text, "-", 1);
    if (exponent > 16 || exponent < -4) {
        ms__put(&text, digits, 1);
        if (count > 1) {
            ms__put(&text, ".", 1);
            ms__put_str(&text, digits + 1);
        }
        char *power = ms__format("e%d", exponent - 1);
        ms__put_str(&text, power);
        free(power);
    } else {
        if (exponent <= 0) ms__put(&text, "0", 1);
        for (int i = 0; i < exponent; i++) ms__put(&text, i < count ? &digits[i] : "0", 1);
        ms__put(&text, ".", 1);
        for (int i = exponent; i < 0; i++) ms__put(&text, "0", 1);
        if (exponent < count) ms__put_str(&text, digits + (exponent < 0 ? 0 : exponent));
        else ms__put(&text, "0", 1);
    }
    return owned_text(MS_NUMBER, ms__end_text(&text));
}

ms_json *ms_string(const char *text) {
    return text ? text_value(MS_STRING, text, strlen(text)) : ms_null();
}

ms_json *ms_string_of(const char *text, size_t length) {
    return text_value(MS_STRING, text, length);
}

ms_json *ms_stringf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = ms__formatted(format, args);
    va_end(args);
    return owned_text(MS_STRING, text);
}

ms_json *ms_bytes(const void *bytes, size_t length) {
    return text_value(MS_BYTES, bytes, length);
}

ms_json *ms_array(void) {
    return ms__new_json(MS_ARRAY);
}

ms_json *ms_object(void) {
    return ms__new_json(MS_OBJECT);
}

static void append(ms_json *items, ms_json *value) {
    if (items->items.count == items->items.capacity) {
        items->items.capacity = items->items.capacity ? items->items.capacity * 2 : 4;
        items->items.values = ms__grown(items->items.values, items->items.capacity * sizeof(ms_json *));
    }
    items->items.values[items->items.count++] = value;
}

ms_json *ms_add(ms_json *array, ms_json *value) {
    if (array->type != MS_ARRAY) ms_panic("ms_add takes an array, and this is %s", TYPE_NAMES[array->type]);
    append(array, value);
    return array;
}

ms_json *ms_set(ms_json *object, const char *key, ms_json *value) {
    if (object->type != MS_OBJECT) ms_panic("ms_set takes an object, and this is %s", TYPE_NAMES[object->type]);
    if (value->key) {
        /* It is a member elsewhere, with a key of its own there. */
        ms_json *copy = ms__new_json(value->type);
        *copy = *value;
        value = copy;
    }
    value->key = strdup(key);
    for (size_t i = 0; i < object->items.count; i++) {
        if (strcmp(object->items.values[i]->key, key) == 0) {
            object->items.values[i] = value;
            return object;
        }
    }
    append(object, value);
    return object;
}

ms_type ms_type_of(const ms_json *value) {
    return value ? value->type : MS_NULL;
}

bool ms_is_null(const ms_json *value) {
    return ms_type_of(value) == MS_NULL;
}

size_t ms_count(const ms_json *value) {
    switch (ms_type_of(value)) {
    case MS_ARRAY:
    case MS_OBJECT: return value->items.count;
    case MS_STRING:
    case MS_BYTES: return value->text.length;
    default: return 0;
    }
}

ms_json *ms_at(const ms_json *array, size_t index) {
    return ms_type_of(array) == MS_ARRAY && index < array->items.count ? array->items.values[index] : ms_null();
}

static ms_json *member(const ms_json *object, const char *key) {
    if (ms_type_of(object) != MS_OBJECT) return 0;
    for (size_t i = 0; i < object->items.count; i++)
        if (strcmp(object->items.values[i]->key, key) == 0) return object->items.values[i];
    return 0;
}

ms_json *ms_get(const ms_json *object, const char *key) {
    ms_json *found = member(object, key);
    if (found) return found;
    if (ms_type_of(object) == MS_UNREADABLE) return (ms_json *)object;
    /* It knows what it would have been, for whoever needs it. */
    found = ms_null();
    found->key = key;
    return found;
}

bool ms_has(const ms_json *object, const char *key) {
    return member(object, key) != 0;
}

const char *ms_key(const ms_json *object, size_t index) {
    return ms_type_of(object) == MS_OBJECT && index < object->items.count ? object->items.values[index]->key : "";
}

static void expected(const ms_json *value, const char *what) {
    if (ms_type_of(value) == MS_UNREADABLE) {
        ms__unreadable(value->text.ptr);
        return;
    }
    const char *found = TYPE_NAMES[ms_type_of(value)];
    ms__unreadable(value && value->key ? ms__format("field `%s`: expected %s, found %s", value->key, what, found)
                                       : ms__format("expected %s, found %s", what, found));
}

const char *ms_str(const ms_json *value) {
    if (ms_type_of(value) == MS_STRING || ms_type_of(value) == MS_BYTES) return value->text.ptr;
    expected(value, "a string");
    return "";
}

double ms_num(const ms_json *value) {
    if (ms_type_of(value) == MS_NUMBER) return ms__read_double(value->text.ptr, value->text.length);
    expected(value, "a number");
    return 0;
}

int64_t ms_integer(const ms_json *value) {
    if (ms_type_of(value) == MS_NUMBER) {
        const char *at = value->text.ptr;
        bool negative = *at == '-';
        uint64_t magnitude = 0, most = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
        bool fits = true;
        for (at += negative; *at >= '0' && *at <= '9' && fits; at++) {
            fits = magnitude <= (most - (uint64_t)(*at - '0')) / 10;
            magnitude = magnitude * 10 + (uint64_t)(*at - '0');
        }
        if (fits && !*at) return (int64_t)(negative ? 0 - magnitude : magnitude);
        double number = ms_num(value);
        if (number >= -9007199254740992.0 && number <= 9007199254740992.0 && number == (double)(int64_t)number)
            return (int64_t)number;
    }
    expected(value, "an integer");
    return 0;
}

bool ms_boolean(const ms_json *value) {
    if (ms_type_of(value) == MS_BOOL) return value->boolean;
    expected(value, "a boolean");
    return false;
}

const char *ms_problem(const ms_json *value) {
    return ms_type_of(value) == MS_UNREADABLE ? value->text.ptr : "";
}

/* Reading. */

typedef struct {
    const char *begin;
    const char *at;
    const char *end;
    const char *problem;
} reader;

static ms_json *read_value(reader *reader, int depth);

static ms_json *bad(reader *reader, const char *problem) {
    if (!reader->problem) reader->problem = problem;
    return ms_null();
}

static void skip_space(reader *reader) {
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r'))
        reader->at++;
}

static bool take(reader *reader, char letter) {
    if (reader->at < reader->end && *reader->at == letter) {
        reader->at++;
        return true;
    }
    return false;
}

static bool read_hex(reader *reader, uint32_t *unit) {
    *unit = 0;
    if (reader->end - reader->at < 4) return false;
    for (int i = 0; i < 4; i++) {
        char letter = *reader->at++;
        uint32_t digit;
        if (letter >= '0' && letter <= '9') digit = (uint32_t)(letter - '0');
        else if ((letter | 32) >= 'a' && (letter | 32) <= 'f') digit = (uint32_t)((letter | 32) - 'a' + 10);
        else return false;
        *unit = *unit << 4 | digit;
    }
    return true;
}

static void put_code_point(ms__text *text, uint32_t code) {
    char bytes[4];
    size_t length;
    if (code < 0x80) {
        bytes[0] = (char)code;
        length = 1;
    } else if (code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        length = 2;
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xe0 | code >> 12);
        length = 3;
    } else {
        bytes[0] = (char)(0xf0 | code >> 18);
        length = 4;
    }
    for (size_t i = 1; i < length; i++) bytes[i] = (char)(0x80 | (code >> (6 * (length - 1 - i)) & 0x3f));
    ms__put(text, bytes, length);
}

/* The length of the UTF-8 sequence here; 0 where there is none. */
static size_t utf8_length(const unsigned char *at, const unsigned char *end) {
    unsigned char first = *at;
    size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (length == 0 || (size_t)(end - at) < length) return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    /* Overlong, a surrogate, or beyond Unicode. */
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f)) return 0;
    if ((first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f)) return 0;
    return length;
}

static bool read_escape(reader *reader, ms__text *text) {
    if (reader->at == reader->end) return false;
    char letter = *reader->at++;
    const char *from = "\"\\/bfnrt", *to = "\"\\/\b\f\n\r\t";
    const char *found = letter ? strchr(from, letter) : 0;
    if (found) {
        ms__put(text, &to[found - from], 1);
        return true;
    }
    uint32_t unit, low;
    if (letter != 'u' || !read_hex(reader, &unit)) return false;
    if (unit >= 0xdc00 && unit < 0xe000) return false;
    if (unit >= 0xd800 && unit < 0xdc00) {
        if (!take(reader, '\\') || !take(reader, 'u') || !read_hex(reader, &low)) return false;
        if (low < 0xdc00 || low >= 0xe000) return false;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    put_code_point(text, unit);
    return true;
}

static char *read_string(reader *reader, size_t *length) {
    ms__text text = {0};
    while (reader->at < reader->end && *reader->at != '"') {
        const char *plain = reader->at;
        while (reader->at < reader->end && *reader->at != '"' && *reader->at != '\\') {
            if ((unsigned char)*reader->at < 0x20) {
                bad(reader, "a control character in a string");
                break;
            }
            size_t bytes = utf8_length((const unsigned char *)reader->at, (const unsigned char *)reader->end);
            if (bytes == 0) {
                bad(reader, "a string is not UTF-8");
                break;
            }
            reader->at += bytes;
        }
        ms__put(&text, plain, (size_t)(reader->at - plain));
        if (reader->problem) break;
        if (take(reader, '\\') && !read_escape(reader, &text)) {
            bad(reader, "an invalid escape in a string");
            break;
        }
    }
    if (!reader->problem && !take(reader, '"')) bad(reader, "a string does not end");
    char *ptr = ms__end_text(&text);
    *length = text.length;
    return ptr;
}

static ms_json *read_number(reader *reader) {
    const char *begin = reader->at;
    take(reader, '-');
    if (take(reader, '0')) {
        if (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') return bad(reader, "a number begins with 0");
    } else {
        const char *digits = reader->at;
        while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') reader->at++;
        if (reader->at == digits) return bad(reader, "expected a value");
    }
    if (take(reader, '.')) {
        const char *digits = reader->at;
        while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') reader->at++;
        if (reader->at == digits) return bad(reader, "a number ends with its point");
    }
    if (take(reader, 'e') || take(reader, 'E')) {
        if (!take(reader, '-')) take(reader, '+');
        const char *digits = reader->at;
        while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') reader->at++;
        if (reader->at == digits) return bad(reader, "a number has an empty exponent");
    }
    return text_value(MS_NUMBER, begin, (size_t)(reader->at - begin));
}

static ms_json *read_items(reader *reader, ms_type type, int depth) {
    char end = type == MS_ARRAY ? ']' : '}';
    ms_json *items = ms__new_json(type);
    skip_space(reader);
    if (take(reader, end)) return items;
    while (!reader->problem) {
        char *key = 0;
        if (type == MS_OBJECT) {
            skip_space(reader);
            size_t length;
            if (!take(reader, '"')) return bad(reader, "expected a key");
            key = read_string(reader, &length);
            skip_space(reader);
            if (!take(reader, ':')) return bad(reader, "expected a colon");
        }
        ms_json *value = read_value(reader, depth + 1);
        value->key = key;
        /* As elsewhere, the last of two members with the same key counts. */
        size_t at = 0;
        while (key && at < items->items.count && strcmp(items->items.values[at]->key, key) != 0) at++;
        if (key && at < items->items.count) items->items.values[at] = value;
        else append(items, value);
        skip_space(reader);
        if (take(reader, end)) return items;
        if (!take(reader, ',')) return bad(reader, type == MS_ARRAY ? "expected a comma or ]" : "expected a comma or }");
    }
    return items;
}

static bool take_word(reader *reader, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0) return false;
    reader->at += length;
    return true;
}

static ms_json *read_value(reader *reader, int depth) {
    if (depth > DEPTH_MAX) return bad(reader, "it nests too deep");
    skip_space(reader);
    if (reader->at == reader->end) return bad(reader, "it ends where a value is expected");
    if (take(reader, '{')) return read_items(reader, MS_OBJECT, depth);
    if (take(reader, '[')) return read_items(reader, MS_ARRAY, depth);
    if (take(reader, '"')) {
        ms_json *value = ms__new_json(MS_STRING);
        value->text.ptr = read_string(reader, &value->text.length);
        return value;
    }
    if (take_word(reader, "null")) return ms_null();
    if (take_word(reader, "true")) return ms_bool(true);
    if (take_word(reader, "false")) return ms_bool(false);
    return read_number(reader);
}

ms_json *ms_read_json(const char *text, size_t length) {
    reader reader = {text, text, text + length, 0};
    ms_json *value = read_value(&reader, 0);
    skip_space(&reader);
    if (!reader.problem && reader.at != reader.end) bad(&reader, "something follows the value");
    if (!reader.problem) return value;
    return owned_text(MS_UNREADABLE, ms__format("%s at byte %zu", reader.problem, (size_t)(reader.at - reader.begin)));
}

/* Writing. */

static void write_string(ms__text *text, const char *ptr, size_t length) {
    ms__put(text, "\"", 1);
    size_t plain = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)ptr[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        ms__put(text, ptr + plain, i - plain);
        plain = i + 1;
        const char *from = "\"\\\b\f\n\r\t", *to = "\"\\bfnrt";
        const char *found = byte ? strchr(from, byte) : 0;
        if (found) {
            char escape[2] = {'\\', to[found - from]};
            ms__put(text, escape, 2);
        } else {
            char *escape = ms__format("\\u%04x", byte);
            ms__put_str(text, escape);
            free(escape);
        }
    }
    ms__put(text, ptr + plain, length - plain);
    ms__put(text, "\"", 1);
}

static void write_value(ms__text *text, const ms_json *value, int depth) {
    if (depth > DEPTH_MAX) ms_panic("a value nests deeper than %d", DEPTH_MAX);
    switch (ms_type_of(value)) {
    case MS_NULL: ms__put(text, "null", 4); break;
    case MS_BOOL: ms__put_str(text, value->boolean ? "true" : "false"); break;
    case MS_NUMBER: ms__put(text, value->text.ptr, value->text.length); break;
    case MS_STRING: write_string(text, value->text.ptr, value->text.length); break;
    case MS_ARRAY:
    case MS_OBJECT:
        ms__put(text, value->type == MS_ARRAY ? "[" : "{", 1);
        for (size_t i = 0; i < value->items.count; i++) {
            const ms_json *item = value->items.values[i];
            if (i > 0) ms__put(text, ",", 1);
            if (value->type == MS_OBJECT) {
                write_string(text, item->key, strlen(item->key));
                ms__put(text, ":", 1);
            }
            write_value(text, item, depth + 1);
        }
        ms__put(text, value->type == MS_ARRAY ? "]" : "}", 1);
        break;
    case MS_BYTES: ms_panic("raw bytes travel as an argument or a result of their own, not inside JSON"); break;
    case MS_UNREADABLE: ms_panic("a value that could not be read is written: %s", value->text.ptr); break;
    }
}

char *ms_write_json(const ms_json *value) {
    ms__text text = {0};
    write_value(&text, value, 0);
    return ms__end_text(&text);
}
