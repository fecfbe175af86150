/* Text that grows, and formatting as printf does it. */

#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ms__put(ms__text *text, const char *bytes, size_t length) {
    if (text->length + length + 1 > text->capacity) {
        text->capacity = (text->length + length + 1) * 2;
        text->ptr = ms__grown(text->ptr, text->capacity);
    }
    memcpy(text->ptr + text->length, bytes, length);
    text->length += length;
}

void ms__put_str(ms__text *text, const char *bytes) {
    ms__put(text, bytes, strlen(bytes));
}

char *ms__end_text(ms__text *text) {
    ms__put(text, "", 1);
    text->length--;
    return text->ptr;
}

typedef struct spec {
    bool left, zeros, plus, space, alternative;
    int width;
    /* -1 where none is given. */
    int precision;
} spec;

static void pad(ms__text *text, char with, int count) {
    for (; count > 0; count--) ms__put(text, &with, 1);
}

/* A sign or prefix, then zeros, then digits; padded to the width. */
static void put_number(ms__text *text, const spec *spec, const char *prefix, const char *digits, bool precise) {
    int length = (int)strlen(digits), zeros = 0;
    if (precise && spec->precision > length) zeros = spec->precision - length;
    int used = (int)strlen(prefix) + zeros + length;
    if (spec->zeros && !spec->left && !(precise && spec->precision >= 0) && spec->width > used) {
        zeros += spec->width - used;
        used = spec->width;
    }
    if (!spec->left) pad(text, ' ', spec->width - used);
    ms__put_str(text, prefix);
    pad(text, '0', zeros);
    ms__put_str(text, digits);
    if (spec->left) pad(text, ' ', spec->width - used);
}

static void put_integer(ms__text *text, const spec *spec, uint64_t value, unsigned base, bool upper, const char *prefix) {
    const char *letters = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char digits[65];
    int at = 64;
    digits[64] = 0;
    do digits[--at] = letters[value % base];
    while (value /= base);
    put_number(text, spec, prefix, digits + at, true);
}

static const char *sign(const spec *spec, bool negative) {
    return negative ? "-" : spec->plus ? "+" : spec->space ? " " : "";
}

/* The digits of a double, rounded half to even, to `places` after the point, or so many significant ones. */
static char *rounded_digits(double value, int places, bool significant, int *exponent) {
    char *exact = ms__exact_digits(value, exponent);
    int have = (int)strlen(exact);
    int keep = significant ? places : *exponent + places;
    if (keep < 0) keep = 0, exact[0] = 0;
    char *digits = ms__zeroed((size_t)(keep > have ? keep : have) + 3);
    memcpy(digits + 1, exact, (size_t)have);
    for (int i = have; i < keep; i++) digits[1 + i] = '0';
    if (keep < have) {
        bool up = exact[keep] > '5' ||
                  (exact[keep] == '5' && (exact[keep + 1] != 0 || (keep > 0 && ((exact[keep - 1] - '0') & 1))));
        digits[1 + keep] = 0;
        digits[0] = '0';
        for (int at = keep; up; at--) {
            if (digits[at] != '9') {
                digits[at]++;
                up = false;
            } else {
                digits[at] = '0';
            }
        }
    } else {
        digits[0] = '0';
    }
    free(exact);
    if (digits[0] == '1') {
        (*exponent)++;
        if (significant) digits[keep] = 0;
    } else {
        memmove(digits, digits + 1, strlen(digits + 1) + 1);
    }
    return digits;
}

static char *fixed(double value, int places) {
    int exponent = 0;
    char *digits = rounded_digits(value, places, false, &exponent);
    int count = (int)strlen(digits);
    ms__text text = {0};
    if (exponent <= 0) ms__put(&text, "0", 1);
    for (int i = 0; i < exponent; i++) ms__put(&text, i < count ? &digits[i] : "0", 1);
    if (places > 0) ms__put(&text, ".", 1);
    for (int i = 0; i < places; i++) {
        int at = exponent + i;
        ms__put(&text, at >= 0 && at < count ? &digits[at] : "0", 1);
    }
    return ms__end_text(&text);
}

static char *scientific(double value, int places, char letter, bool trim) {
    int exponent = 1;
    char *digits = value == 0 ? 0 : rounded_digits(value, places + 1, true, &exponent);
    int count = digits ? (int)strlen(digits) : 0;
    ms__text text = {0};
    ms__put(&text, count ? digits : "0", 1);
    int shown = places;
    if (trim)
        while (shown > 0 && (shown >= count || digits[shown] == '0')) shown--;
    if (shown > 0) ms__put(&text, ".", 1);
    for (int i = 1; i <= shown; i++) ms__put(&text, i < count ? &digits[i] : "0", 1);
    int power = exponent - 1;
    ms__put(&text, &letter, 1);
    ms__put(&text, power < 0 ? "-" : "+", 1);
    if (power < 0) power = -power;
    char small[4] = {(char)('0' + power / 100), (char)('0' + power / 10 % 10), (char)('0' + power % 10), 0};
    ms__put_str(&text, power < 100 ? small + 1 : small);
    return ms__end_text(&text);
}

static void put_double(ms__text *text, const spec *spec, double value, char letter) {
    bool negative = __builtin_signbit(value);
    const char *prefix = sign(spec, negative);
    if (negative) value = -value;
    if (value != value || value > 1.7976931348623157e308) {
        const struct spec plain = {.left = spec->left, .width = spec->width, .precision = -1};
        put_number(text, &plain, value != value ? "" : prefix, value != value ? "nan" : "inf", false);
        return;
    }
    int places = spec->precision < 0 ? 6 : spec->precision;
    char *digits;
    if (letter == 'f' || letter == 'F') {
        digits = fixed(value, places);
    } else if (letter == 'e' || letter == 'E') {
        digits = scientific(value, places, letter, false);
    } else {
        if (places == 0) places = 1;
        int exponent = 1;
        if (value != 0) free(rounded_digits(value, places, true, &exponent));
        if (exponent - 1 < -4 || exponent - 1 >= places) {
            digits = scientific(value, places - 1, letter == 'G' ? 'E' : 'e', !spec->alternative);
        } else {
            digits = fixed(value, places - exponent);
            if (!spec->alternative && strchr(digits, '.')) {
                size_t length = strlen(digits);
                while (digits[length - 1] == '0') digits[--length] = 0;
                if (digits[length - 1] == '.') digits[--length] = 0;
            }
        }
    }
    put_number(text, spec, prefix, digits, false);
    free(digits);
}

static void format_into(ms__text *text, const char *format, va_list args) {
    for (; *format; format++) {
        const char *plain = format;
        while (*format && *format != '%') format++;
        ms__put(text, plain, (size_t)(format - plain));
        if (!*format) break;
        spec spec = {.precision = -1};
        for (format++;; format++) {
            if (*format == '-') spec.left = true;
            else if (*format == '0') spec.zeros = true;
            else if (*format == '+') spec.plus = true;
            else if (*format == ' ') spec.space = true;
            else if (*format == '#') spec.alternative = true;
            else break;
        }
        if (*format == '*') {
            spec.width = va_arg(args, int);
            if (spec.width < 0) spec.left = true, spec.width = -spec.width;
            format++;
        } else {
            for (; *format >= '0' && *format <= '9'; format++) spec.width = spec.width * 10 + (*format - '0');
        }
        if (*format == '.') {
            format++;
            spec.precision = 0;
            if (*format == '*') {
                spec.precision = va_arg(args, int);
                format++;
            } else {
                for (; *format >= '0' && *format <= '9'; format++) spec.precision = spec.precision * 10 + (*format - '0');
            }
        }
        bool wide = false;
        for (; *format == 'l' || *format == 'h' || *format == 'z' || *format == 'j' || *format == 't'; format++) {
            /* long, size_t and ptrdiff_t have 32 bits here. */
            if ((*format == 'l' && format[1] == 'l') || *format == 'j') wide = true;
        }
        switch (*format) {
        case 'd':
        case 'i': {
            int64_t value = wide ? va_arg(args, int64_t) : va_arg(args, int);
            uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
            put_integer(text, &spec, magnitude, 10, false, sign(&spec, value < 0));
            break;
        }
        case 'u':
        case 'x':
        case 'X':
        case 'o': {
            uint64_t value = wide ? va_arg(args, uint64_t) : va_arg(args, unsigned);
            unsigned base = *format == 'u' ? 10 : *format == 'o' ? 8 : 16;
            const char *prefix = spec.alternative && value && base == 16 ? (*format == 'x' ? "0x" : "0X") : "";
            put_integer(text, &spec, value, base, *format == 'X', prefix);
            break;
        }
        case 'p': put_integer(text, &spec, (uintptr_t)va_arg(args, void *), 16, false, "0x"); break;
        case 'c': {
            char letter[2] = {(char)va_arg(args, int), 0};
            if (!spec.left) pad(text, ' ', spec.width - 1);
            ms__put(text, letter, 1);
            if (spec.left) pad(text, ' ', spec.width - 1);
            break;
        }
        case 's': {
            const char *string = va_arg(args, const char *);
            if (!string) string = "(null)";
            size_t length = 0;
            while ((spec.precision < 0 || length < (size_t)spec.precision) && string[length]) length++;
            if (!spec.left) pad(text, ' ', spec.width - (int)length);
            ms__put(text, string, length);
            if (spec.left) pad(text, ' ', spec.width - (int)length);
            break;
        }
        case 'f':
        case 'F':
        case 'e':
        case 'E':
        case 'g':
        case 'G': put_double(text, &spec, va_arg(args, double), *format); break;
        case '%': ms__put(text, "%", 1); break;
        default: ms_panic("a format has %%%c, which is not supported", *format);
        }
    }
}

char *ms__formatted(const char *format, va_list args) {
    ms__text text = {0};
    format_into(&text, format, args);
    return ms__end_text(&text);
}

char *ms__format(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = ms__formatted(format, args);
    va_end(args);
    return text;
}

int vsnprintf(char *to, size_t size, const char *format, va_list args) {
    char *text = ms__formatted(format, args);
    size_t length = strlen(text);
    if (size > 0) {
        size_t fits = length < size ? length : size - 1;
        memcpy(to, text, fits);
        to[fits] = 0;
    }
    free(text);
    return (int)length;
}

int snprintf(char *to, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(to, size, format, args);
    va_end(args);
    return length;
}
